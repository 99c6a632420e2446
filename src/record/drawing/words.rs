//! What is written in a box of an SVG, and beside a line: measured, broken into lines, numbered.
//!
//! **Invariant:** what is written is not larger than it was measured.

use std::fmt::Write as _;

use super::{Agent, Edge, Picture, text};

pub(super) const NAME_SIZE: f64 = 14.0;
pub(super) const NAME_LINE: f64 = 18.0;
const NAME_WIDTH: f64 = 190.0;
const NAME_LINES: usize = 6;
const CAPTION_SIZE: f64 = 11.0;
const CAPTION_LINE: f64 = 16.0;
const LABEL_SIZE: f64 = 12.0;
const LABEL_LINE: f64 = 16.0;
const LABEL_WIDTH: f64 = 210.0;
const LABEL_LINES: usize = 3;
/// The height of a step's number.
const STEP_HEIGHT: f64 = 17.0;
/// The numbers of steps that a way shows; of more it says how many.
const STEPS_MAX: usize = 6;

/// Words and numbers beside a way.
pub(super) struct Label {
    pub(super) lines: Vec<String>,
    pub(super) steps: Vec<usize>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The words in a box.
pub(super) struct Words {
    pub(super) name: Vec<String>,
    pub(super) caption: &'static str,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Words {
    pub(super) fn new(agent: &Agent) -> Self {
        // Bold is wider by a tenth.
        let size = NAME_SIZE * 1.1;
        let name = text::lines(&text::plain(&agent.name), size, NAME_WIDTH, NAME_LINES);
        let caption = Picture::caption(agent);
        let names = name.iter().map(|line| text::width(line, size));
        let width = names.fold(text::width(caption, CAPTION_SIZE), f64::max);
        let mut words = Self { name, caption, width: (width + 28.0).max(88.0), height: 0.0 };
        words.height = words.written_height() + 20.0;
        words
    }

    pub(super) fn written_height(&self) -> f64 {
        let caption = if self.caption.is_empty() { 0.0 } else { CAPTION_LINE };
        self.name.len() as f64 * NAME_LINE + caption
    }
}

impl Label {
    pub(super) fn new(edge: &Edge, steps: Vec<usize>) -> Self {
        let labels = Picture::labels(edge);
        let lines = labels
            .iter()
            .flat_map(|label| text::lines(label, LABEL_SIZE, LABEL_WIDTH, LABEL_LINES));
        let lines: Vec<String> = lines.collect();
        let mut label = Self { lines, steps, width: 0.0, height: 0.0 };
        let widths = label.lines.iter().map(|line| text::width(line, LABEL_SIZE));
        label.width = widths.fold(label.numbers().1, f64::max);
        let numbers = if label.steps.is_empty() { 0.0 } else { STEP_HEIGHT + 4.0 };
        label.height = label.lines.len() as f64 * LABEL_LINE + numbers;
        label
    }

    /// The numbers shown, with their widths, and the width of them all.
    fn numbers(&self) -> (Vec<(Option<usize>, String, f64)>, f64) {
        let shown = self.steps.iter().take(STEPS_MAX);
        let mut numbers: Vec<(Option<usize>, String)> =
            shown.map(|step| (Some(*step), step.to_string())).collect();
        if self.steps.len() > STEPS_MAX {
            numbers.push((None, format!("+{}", self.steps.len() - STEPS_MAX)));
        }
        let numbers = numbers.into_iter().map(|(step, number)| {
            let width = (text::width(&number, 12.5) + 9.0).max(STEP_HEIGHT);
            (step, number, width)
        });
        let numbers: Vec<_> = numbers.collect();
        let all: f64 = numbers.iter().map(|(.., width)| width + 4.0).sum();
        (numbers, (all - 4.0).max(0.0))
    }

    /// Writes it from a height downward, around, beside or before an x, as the class says.
    pub(super) fn write(&self, out: &mut String, class: &str, x: f64, mut top: f64) {
        let (numbers, all) = self.numbers();
        if !numbers.is_empty() {
            let mut left = match class {
                "label beside" => x,
                "label aside-label" => x - all,
                _ => x - all / 2.0,
            };
            for (step, number, width) in numbers {
                let data = step.map_or_else(String::new, |step| format!(" data-step=\"{step}\""));
                let _ = write!(
                    out,
                    "<g class=\"step\"{data}><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
                     height=\"{STEP_HEIGHT}\" rx=\"8.5\"/>"
                );
                written(out, "number", left + width / 2.0, top + 12.5, &number);
                out.push_str("</g>");
                left += width + 4.0;
            }
            top += STEP_HEIGHT + 4.0;
        }
        for (n, line) in self.lines.iter().enumerate() {
            written(out, class, x, top + n as f64 * LABEL_LINE + 12.0, line);
        }
    }
}

pub(super) fn written(out: &mut String, class: &str, x: f64, y: f64, text: &str) {
    let text = escaped(text);
    let _ = write!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
}

/// A text as markup that shows it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
