//! The pages of the meters: `/metrics`, for a scraper and for a person.
//!
//! **Invariant:** a page is read from atomics; no scrape makes a session wait.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::record::{Format, Meters};

/// Where the meters are.
pub const METRICS: &str = "/metrics";

/// The page of these meters alone, to be put beside others.
pub fn only(meters: Arc<Meters>) -> Router {
    Router::new().route(METRICS, get(metrics)).with_state(meters)
}

/// The page of these meters, and a hint everywhere else.
pub fn pages(meters: Arc<Meters>) -> Router {
    let elsewhere = async || (StatusCode::NOT_FOUND, "there is no such page: see /metrics\n");
    let otherwise = async || (StatusCode::METHOD_NOT_ALLOWED, "this page is only read: use GET\n");
    Router::new()
        .route(METRICS, get(metrics))
        .method_not_allowed_fallback(otherwise)
        .fallback(elsewhere)
        .with_state(meters)
}

async fn metrics(State(meters): State<Arc<Meters>>, headers: HeaderMap) -> impl IntoResponse {
    let format = accepted(&headers);
    let head = [
        (header::CONTENT_TYPE, format.content_type()),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept"),
    ];
    (head, meters.text(format))
}

/// OpenMetrics for who asks for it; the older format can be read by everybody else, browsers too.
fn accepted(headers: &HeaderMap) -> Format {
    let mut accept = headers.get_all(header::ACCEPT).into_iter().filter_map(|v| v.to_str().ok());
    let is_known = accept.any(|value| value.contains("application/openmetrics-text"));
    if is_known { Format::OpenMetrics } else { Format::Prometheus }
}
