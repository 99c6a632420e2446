//! Models over the network: what is asked, what is made of the answers, and of everything else that comes.
//!
//! The server of most of these tests is `protocol`, which does as it is told. `peers` holds both sides of it against
//! what others have written: the official Python client, and a proxy that speaks the same protocol.

mod attempts;
mod audio;
mod chat;
mod peers;
mod planted;
mod protocol;

use std::collections::BTreeMap;
use std::sync::Arc;

use antiphon::config;
use antiphon::generate::LanguageModel;
use antiphon::provider::models::Build;
use antiphon::provider::{Models, Sparing};
use antiphon::seed::Seed;
use antiphon::think::chat::{Message, ModelDelta, ModelError, ModelRequest};
use futures_util::StreamExt;
use planted::{KEY, client, encrypted, env, program};
use protocol::Server;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A model at a server, asked once, with a key.
fn model(server: &Server) -> config::Model {
    config::Model {
        base_url: server.url(),
        api_key_env: Some("KEY".into()),
        model: Some("small".into()),
        headers: BTreeMap::from([("x-team".into(), "${PLANTED}".into())]),
        retries: 0,
        ..config::Model::default()
    }
}

/// The same, with little patience.
fn hasty(server: &Server) -> config::Model {
    config::Model { first_timeout_ms: 200, stall_timeout_ms: 200, ..model(server) }
}

fn models(of: &[(&str, config::Model)], sparing: Sparing) -> Models {
    let of = of.iter().map(|(name, model)| ((*name).to_owned(), model.clone())).collect();
    Build { sparing, jitter: Seed::new(1), ..Build::new(&env) }.models(&of).unwrap()
}

/// The first of these, whose fallbacks the others are.
fn first(of: &[(&str, config::Model)]) -> Arc<dyn LanguageModel> {
    let mut of = of.to_vec();
    of[0].1.fallbacks = of[1..].iter().map(|(name, _)| (*name).to_owned()).collect();
    models(&of, Sparing::default()).get(of[0].0).unwrap()
}

fn ask() -> ModelRequest {
    ModelRequest { messages: vec![Message::user("hello")], ..ModelRequest::default() }
}

/// The pieces of an answer, and what it ended with if that was an error.
async fn pieces(
    model: &dyn LanguageModel,
) -> Result<(Vec<ModelDelta>, Option<ModelError>), ModelError> {
    let mut deltas = model.stream(ask()).await?;
    let mut pieces = Vec::new();
    while let Some(delta) = deltas.next().await {
        match delta {
            Ok(delta) => pieces.push(delta),
            Err(error) => return Ok((pieces, Some(error))),
        }
    }
    Ok((pieces, None))
}

fn said(pieces: &[ModelDelta]) -> String {
    let texts = pieces.iter().filter_map(|piece| match piece {
        ModelDelta::Text(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn warnings(pieces: &[ModelDelta]) -> Vec<&str> {
    let warnings = pieces.iter().filter_map(|piece| match piece {
        ModelDelta::Warning(warning) => Some(warning.as_str()),
        _ => None,
    });
    warnings.collect()
}
