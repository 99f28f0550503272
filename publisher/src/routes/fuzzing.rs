//! What reads the query of a request, for `tests/fuzz`.

use axum::http::Uri;
use jiff::Timestamp;
use schemas::{Region, Tag, Url};

use super::dead_letters;
use super::invalidations::Manner;
use super::parameters::Parameters;

/// Reads everything that a query may hold, and answers whether it is taken where invalidations are published, and where
/// they are listed. A cursor that is taken comes back as it would be given.
pub(crate) fn query(uri: &Uri, now: Timestamp) -> (bool, bool, Option<String>) {
    let published = Manner::read(uri).is_ok();
    let known = ["since", "until", "region", "tag", "url", "window", "limit", "cursor"];
    let mut parameters = Parameters::read(uri, &known);
    for moment in ["since", "until"] {
        parameters.moment(moment, now);
    }
    parameters.validated::<Region>("region");
    parameters.validated::<Tag>("tag");
    parameters.validated::<Url>("url");
    parameters.word::<schemas::api::LatencyWindow>("window", "is none");
    parameters.limit();
    let place = parameters.cursor(dead_letters::CURSOR_VERSION, dead_letters::place_of);
    let again = place.map(dead_letters::cursor_of);
    (published, parameters.finish().is_ok(), again)
}
