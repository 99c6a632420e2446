//! The pages of the meters: `/metrics`, for a scraper and for a person.
//!
//! While the process has too much to do (`host::overload`), the page is one that was made up to [`KEPT_S`] seconds ago; its
//! `Age` says so.
//!
//! **Invariant:** a page is read from atomics; no scrape makes a session wait.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::host::overload::Stage;
use crate::host::pace::{Clock, Moment};
use crate::record::{Format, Meters};

/// Where the meters are.
pub const METRICS: &str = "/metrics";

/// For how long a page is kept while there is too much to do, in seconds: scrapers come every 15 or so, and get what they
/// would have got; who comes every second gets a tenth of the pages.
pub const KEPT_S: u64 = 10;

/// The meters, and the last page of each format that was made when there was too much to do.
#[derive(Debug)]
pub struct Page {
    meters: Arc<Meters>,
    kept: Mutex<[Option<(Moment, String)>; 2]>,
}

impl Page {
    /// The page of these meters.
    #[must_use]
    pub fn new(meters: Arc<Meters>) -> Self {
        Self { meters, kept: Mutex::default() }
    }

    /// The page now, and how old it is in seconds.
    #[must_use]
    pub fn text(&self, format: Format) -> (u64, String) {
        let place = self.meters.place();
        if place.stage() < Stage::Sparing {
            return (0, self.meters.text(format));
        }
        let now = Clock::default().now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut kept[usize::from(format == Format::OpenMetrics)];
        if let Some((made, text)) = kept {
            let age_s = now.since_ns(*made) / 1_000_000_000;
            if age_s < KEPT_S && place.sheds() {
                return (age_s, text.clone());
            }
        }
        let text = self.meters.text(format);
        *kept = Some((now, text.clone()));
        (0, text)
    }
}

/// The page of these meters alone, to be put beside others.
pub fn only(meters: Arc<Meters>) -> Router {
    Router::new().route(METRICS, get(metrics)).with_state(Arc::new(Page::new(meters)))
}

/// The page of these meters, and a hint everywhere else.
pub fn pages(meters: Arc<Meters>) -> Router {
    let elsewhere = async || (StatusCode::NOT_FOUND, "there is no such page: see /metrics\n");
    let otherwise = async || (StatusCode::METHOD_NOT_ALLOWED, "this page is only read: use GET\n");
    Router::new()
        .route(METRICS, get(metrics))
        .method_not_allowed_fallback(otherwise)
        .fallback(elsewhere)
        .with_state(Arc::new(Page::new(meters)))
}

async fn metrics(State(page): State<Arc<Page>>, headers: HeaderMap) -> impl IntoResponse {
    let format = accepted(&headers);
    let (age_s, text) = page.text(format);
    let head = [
        (header::CONTENT_TYPE, format.content_type().to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::VARY, "Accept".to_owned()),
        (header::AGE, age_s.to_string()),
    ];
    (head, text)
}

/// OpenMetrics for who asks for it; the older format can be read by everybody else, browsers too.
fn accepted(headers: &HeaderMap) -> Format {
    let mut accept = headers.get_all(header::ACCEPT).into_iter().filter_map(|v| v.to_str().ok());
    let is_known = accept.any(|value| value.contains("application/openmetrics-text"));
    if is_known { Format::OpenMetrics } else { Format::Prometheus }
}
