//! A canned model, for demonstrations without one.

use futures_util::{StreamExt, stream};

use super::{BoxFuture, Deltas, LanguageModel};
use crate::config::Reply;
use crate::think::canned;
use crate::think::chat::{ModelError, ModelRef, ModelRequest};

/// A model that answers from a list.
#[derive(Debug, Clone)]
pub struct Canned {
    name: String,
    replies: Vec<Reply>,
}

impl Canned {
    /// A model of this name.
    #[must_use]
    pub fn new(name: &str, replies: Vec<Reply>) -> Self {
        Self { name: name.to_owned(), replies }
    }
}

impl LanguageModel for Canned {
    fn reference(&self) -> ModelRef {
        ModelRef { provider: "canned".to_owned(), model: self.name.clone() }
    }

    fn stream(&self, request: ModelRequest) -> BoxFuture<'_, Result<Deltas, ModelError>> {
        let (deltas, error) = canned::answer(&self.replies, &request);
        let pieces = deltas.into_iter().map(Ok).chain(error.map(Err));
        Box::pin(async move { Ok(stream::iter(pieces.collect::<Vec<_>>()).boxed()) })
    }
}
