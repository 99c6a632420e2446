//! How variables are compared: for each kind of variable its operators, with what they compare to.

use regex::Regex;
use serde_json::{Value, json};

use super::variable::{Held, Kind};

/// Numbers that differ by no more are equal.
const EPSILON: f64 = 1e-6;

/// An operator with the value that it compares to.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// Compares a text with a text; case matters unless the operator says otherwise.
    Text(TextOperator, String),
    /// Looks for a regular expression in a text.
    Matches(TextPattern),
    /// The text is not empty.
    NonEmpty,
    /// Compares a number with a number; such as differ by at most a millionth are equal. What is no
    /// number, such as a fact that is a word, does not match.
    Number(NumberOperator, f64),
    /// The boolean is this.
    Boolean(bool),
    /// Looks for an element; case does not matter.
    Select(SelectOperator, String),
    /// Compares elements with a list of elements; case does not matter.
    Shared(SharedOperator, Vec<String>),
}

/// A regular expression, in the syntax of the `regex` crate.
#[derive(Clone, Debug)]
pub struct TextPattern {
    pub(super) regex: Regex,
}

impl TextPattern {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }
}

impl PartialEq for TextPattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

/// Comparisons of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextOperator {
    /// They are the same.
    EqualTo,
    /// They are the same but for case.
    EqualToCaseInsensitive,
    /// It begins with the value.
    StartsWith,
    /// It ends with the value.
    EndsWith,
    /// The value stands somewhere in it.
    Contains,
}

/// Comparisons of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberOperator {
    /// It equals the value.
    EqualTo,
    /// It is greater and not equal.
    GreaterThan,
    /// It is greater or equal.
    GreaterThanOrEqualTo,
    /// It is less and not equal.
    LessThan,
    /// It is less or equal.
    LessThanOrEqualTo,
}

impl NumberOperator {
    fn holds(self, number: f64, value: f64) -> bool {
        let difference = number - value;
        match self {
            Self::EqualTo => difference.abs() <= EPSILON,
            Self::GreaterThan => difference > EPSILON,
            Self::GreaterThanOrEqualTo => difference >= -EPSILON,
            Self::LessThan => difference < -EPSILON,
            Self::LessThanOrEqualTo => difference <= EPSILON,
        }
    }
}

/// Looks for one element. A plain text is one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectOperator {
    /// The value is among the elements.
    Contains,
    /// It is not.
    DoesNotContain,
}

/// Comparisons of elements with a list. A plain text is one element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedOperator {
    /// All of the list are among the elements.
    ContainsAll,
    /// All elements are in the list.
    IsContainedBy,
    /// At least one element is in the list.
    SharesAtLeastOneElementWith,
    /// Exactly one element is in the list.
    SharesExactlyOneElementWith,
    /// No element is in the list.
    SharesNoElementsWith,
}

/// What an operator compares to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Text,
    Pattern,
    Number,
    List,
    Nothing,
}

impl Input {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Pattern => "text",
            Self::Number => "numeric",
            Self::List => "select_multiple",
            Self::Nothing => "none",
        }
    }
}

/// An operator without its value.
#[derive(Clone, Copy)]
pub(super) enum Operator {
    Text(TextOperator),
    Matches,
    NonEmpty,
    Number(NumberOperator),
    Boolean(bool),
    Select(SelectOperator),
    Shared(SharedOperator),
}

const TEXT: [(&str, Operator); 7] = [
    ("equal_to", Operator::Text(TextOperator::EqualTo)),
    ("equal_to_case_insensitive", Operator::Text(TextOperator::EqualToCaseInsensitive)),
    ("starts_with", Operator::Text(TextOperator::StartsWith)),
    ("ends_with", Operator::Text(TextOperator::EndsWith)),
    ("contains", Operator::Text(TextOperator::Contains)),
    ("matches_regex", Operator::Matches),
    ("non_empty", Operator::NonEmpty),
];

const NUMBER: [(&str, Operator); 5] = [
    ("equal_to", Operator::Number(NumberOperator::EqualTo)),
    ("greater_than", Operator::Number(NumberOperator::GreaterThan)),
    ("greater_than_or_equal_to", Operator::Number(NumberOperator::GreaterThanOrEqualTo)),
    ("less_than", Operator::Number(NumberOperator::LessThan)),
    ("less_than_or_equal_to", Operator::Number(NumberOperator::LessThanOrEqualTo)),
];

/// A fact is compared as a text or as a number; `equal_to` as its value is.
const FACT: [(&str, Operator); 12] = [
    TEXT[0], NUMBER[0], TEXT[1], TEXT[2], TEXT[3], TEXT[4], TEXT[5], TEXT[6], NUMBER[1], NUMBER[2],
    NUMBER[3], NUMBER[4],
];

const BOOLEAN: [(&str, Operator); 2] =
    [("is_true", Operator::Boolean(true)), ("is_false", Operator::Boolean(false))];

const SELECT: [(&str, Operator); 7] = [
    ("contains", Operator::Select(SelectOperator::Contains)),
    ("does_not_contain", Operator::Select(SelectOperator::DoesNotContain)),
    ("contains_all", Operator::Shared(SharedOperator::ContainsAll)),
    ("is_contained_by", Operator::Shared(SharedOperator::IsContainedBy)),
    (
        "shares_at_least_one_element_with",
        Operator::Shared(SharedOperator::SharesAtLeastOneElementWith),
    ),
    (
        "shares_exactly_one_element_with",
        Operator::Shared(SharedOperator::SharesExactlyOneElementWith),
    ),
    ("shares_no_elements_with", Operator::Shared(SharedOperator::SharesNoElementsWith)),
];

impl Operator {
    /// The operators of a kind of variable, by name.
    pub(super) const fn of(kind: Kind) -> &'static [(&'static str, Self)] {
        match kind {
            Kind::Text => &TEXT,
            Kind::Number => &NUMBER,
            Kind::Boolean => &BOOLEAN,
            Kind::Select => &SELECT,
            Kind::Fact => &FACT,
        }
    }

    pub(super) const fn input(self) -> Input {
        match self {
            Self::Text(_) | Self::Select(_) => Input::Text,
            Self::Matches => Input::Pattern,
            Self::Number(_) => Input::Number,
            Self::Shared(_) => Input::List,
            Self::NonEmpty | Self::Boolean(_) => Input::Nothing,
        }
    }
}

impl Check {
    /// Whether it holds for a value. One of another type, which compilation rules out, does not.
    pub(super) fn holds(&self, held: &Held<'_>) -> bool {
        match (self, held) {
            (Self::Text(operator, value), Held::Text(text)) => match operator {
                TextOperator::EqualTo => text == value,
                TextOperator::EqualToCaseInsensitive => same_but_for_case(text, value),
                TextOperator::StartsWith => text.starts_with(value.as_str()),
                TextOperator::EndsWith => text.ends_with(value.as_str()),
                TextOperator::Contains => text.contains(value.as_str()),
            },
            (Self::Matches(pattern), Held::Text(text)) => pattern.regex.is_match(text),
            (Self::NonEmpty, Held::Text(text)) => !text.is_empty(),
            (Self::Number(operator, value), Held::Number(number)) => {
                #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
                let number = *number as f64;
                operator.holds(number, *value)
            }
            (Self::Number(operator, value), Held::Text(text)) => {
                let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
                number.is_some_and(|number| operator.holds(number, *value))
            }
            (Self::Boolean(wanted), Held::Boolean(found)) => wanted == found,
            (Self::Select(operator, value), Held::Text(text)) => {
                let found = same_but_for_case(text, value);
                match operator {
                    SelectOperator::Contains => found,
                    SelectOperator::DoesNotContain => !found,
                }
            }
            (Self::Shared(operator, list), Held::Text(text)) => {
                let is_it = |value: &String| same_but_for_case(text, value);
                match operator {
                    SharedOperator::ContainsAll => list.iter().all(is_it),
                    SharedOperator::IsContainedBy
                    | SharedOperator::SharesAtLeastOneElementWith
                    | SharedOperator::SharesExactlyOneElementWith => list.iter().any(is_it),
                    SharedOperator::SharesNoElementsWith => !list.iter().any(is_it),
                }
            }
            _ => false,
        }
    }

    /// The name of the operator, and its value as JSON.
    pub(super) fn written(&self, kind: Kind) -> (&'static str, Value) {
        let is_it = |operator: &Operator| match (operator, self) {
            (Operator::Text(a), Self::Text(b, _)) => a == b,
            (Operator::Matches, Self::Matches(_)) | (Operator::NonEmpty, Self::NonEmpty) => true,
            (Operator::Number(a), Self::Number(b, _)) => a == b,
            (Operator::Boolean(a), Self::Boolean(b)) => a == b,
            (Operator::Select(a), Self::Select(b, _)) => a == b,
            (Operator::Shared(a), Self::Shared(b, _)) => a == b,
            _ => false,
        };
        let mut operators = Operator::of(kind).iter();
        let name = operators.find(|(_, operator)| is_it(operator)).map_or("", |(name, _)| name);
        let value = match self {
            Self::Text(_, text) | Self::Select(_, text) => json!(text),
            Self::Matches(pattern) => json!(pattern.as_str()),
            Self::Number(_, number) => json!(number),
            Self::Shared(_, list) => json!(list),
            Self::NonEmpty | Self::Boolean(_) => Value::Null,
        };
        (name, value)
    }
}

/// Whether two texts have the same small letters.
fn same_but_for_case(a: &str, b: &str) -> bool {
    a.chars().flat_map(char::to_lowercase).eq(b.chars().flat_map(char::to_lowercase))
}
