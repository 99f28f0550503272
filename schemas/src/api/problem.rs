//! What a publisher answers when it cannot do what was asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An RFC 9457 error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A URI that names the kind of error.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// This error in words, with the way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Every mistake of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Mistake>,
}

/// One mistake in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mistake {
    /// A JSON pointer to it.
    pub pointer: String,
    /// What is wrong, the limit, and the fix.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_names_every_mistake() {
        let body = json!({
            "type": "about:blank", "title": "Unprocessable Content", "status": 422,
            "detail": "1 mistake", "errors": [{"pointer": "/urls/3", "detail": "host is empty"}],
        });
        let problem: Problem = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(problem).unwrap(), body);
    }

    #[test]
    fn a_problem_without_details_is_short() {
        let body = json!({"type": "about:blank", "title": "Unauthorized", "status": 401});
        let problem: Problem = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(serde_json::to_value(problem).unwrap(), body);
    }
}
