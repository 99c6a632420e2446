//! Pages that are left out while the process has too much to do.
//!
//! **Invariant:** who is turned away is told when to come again.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use crate::host::overload::Place;

/// When to come again, in seconds: what is left out stays so for three at least.
const AGAIN_S: &str = "5";

/// These pages, but for times of which this place says that they are left out.
pub fn shedding(pages: Router, place: Place) -> Router {
    pages.layer(from_fn_with_state(place, guard))
}

async fn guard(State(place): State<Place>, request: Request, next: Next) -> Response {
    if place.sheds() {
        let head = [(header::RETRY_AFTER, AGAIN_S), (header::CACHE_CONTROL, "no-store")];
        let why = "there is too much to do: calls go first; come again in some seconds\n";
        return (StatusCode::SERVICE_UNAVAILABLE, head, why).into_response();
    }
    next.run(request).await
}
