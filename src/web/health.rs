//! The pages of a worker's health, as LiveKit's own workers have them, for whoever keeps it running.
//!
//! | page | answer |
//! |---|---|
//! | `/` | 200 and `OK` while the worker is well; 503 and why while it is not: it has no connection to the server |
//! | `/worker` | the worker as JSON: its agents' names, kinds of jobs, load, jobs |
//! | `/ready` | 200 while it takes jobs; 503 while it is full, drains or has no connection |
//!
//! **Invariant:** nothing here tells a secret, or anything of a call: they are asked without a token.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

/// How a worker is, as `/worker` shows it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Health {
    /// The agent's name; empty with automatic dispatch. Of several registrations the first.
    pub agent_name: String,
    /// The kind of job, in LiveKit's own words: `JT_ROOM`, `JT_PUBLISHER`, `JT_PARTICIPANT`.
    pub worker_type: String,
    /// From 0 to 1, where 0.7 is the limit.
    pub worker_load: f64,
    /// Jobs under way.
    pub active_jobs: usize,
    /// The version of this program.
    pub sdk_version: &'static str,
    /// What kind of program it is.
    pub project_type: &'static str,
    /// The ids of its registrations.
    pub worker_ids: Vec<String>,
    /// It takes no more jobs, and ends with the last.
    pub draining: bool,
    /// Why it is not well, if it is not.
    pub trouble: Option<String>,
    /// Why it takes no jobs at present, if it takes none.
    pub busy: Option<String>,
}

/// Where a worker says how it is.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Health>>);

impl Board {
    /// Says how it is now.
    pub fn put(&self, health: Health) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    fn look(&self) -> Health {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The pages.
pub fn pages(board: Board) -> Router {
    Router::new()
        .route("/", get(well))
        .route("/worker", get(worker))
        .route("/ready", get(ready))
        .with_state(board)
}

const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

async fn well(State(board): State<Board>) -> impl IntoResponse {
    answer(board.look().trouble)
}

async fn ready(State(board): State<Board>) -> impl IntoResponse {
    let Health { trouble, busy, .. } = board.look();
    answer(trouble.or(busy))
}

fn answer(trouble: Option<String>) -> impl IntoResponse {
    match trouble {
        None => (StatusCode::OK, NO_STORE, "OK".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, NO_STORE, why),
    }
}

async fn worker(State(board): State<Board>) -> impl IntoResponse {
    (NO_STORE, Json(board.look()))
}
