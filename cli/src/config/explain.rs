//! From serde's words to a message that says what to write instead.

/// Names closer than this to one that exists are taken for a slip of the fingers.
const SIMILAR: f64 = 0.8;

/// Expectations of serde and of parsers, and what would satisfy them.
const EXAMPLES: [(&str, &str); 7] = [
    ("a duration", "\"50ms\", \"10s\" or \"7d\""),
    ("duration unit", "\"50ms\", \"10s\" or \"7d\""),
    ("socket address", "\"127.0.0.1:8377\""),
    ("expected usize", "100"),
    ("expected u32", "1"),
    ("expected a sequence", "[\"a\", \"b\"]"),
    ("a size", "\"64MiB\" or \"4GiB\""),
];

/// Says it in the users' words; `siblings` are keys of the same table that serde did not know of.
pub(super) fn explain(message: &str, siblings: &[&str]) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let first = quoted.next().unwrap_or_default();
    let known = || quoted.chain(siblings.iter().copied()).collect::<Vec<_>>();
    if message.starts_with("unknown field") {
        format!("unknown key; {}", known_instead(first, &known()))
    } else if message.starts_with("unknown variant") {
        format!("there is no \"{first}\"; {}", known_instead(first, &known()))
    } else if message.starts_with("missing field") {
        format!("\"{first}\" is missing")
    } else {
        let example = EXAMPLES.iter().find(|(expected, _)| message.contains(expected));
        let message = message.replace('`', "\"");
        example.map_or(message.clone(), |(_, example)| format!("{message}; write it as {example}"))
    }
}

/// The nearest of the names that exist, else all of them.
pub(super) fn known_instead(given: &str, known: &[&str]) -> String {
    let score = |name: &str| strsim::jaro_winkler(given, name);
    let nearest = known.iter().max_by(|a, b| score(a).total_cmp(&score(b)));
    match nearest {
        Some(nearest) if score(nearest) >= SIMILAR => format!("did you mean \"{nearest}\"?"),
        Some(_) => format!("there is {}", known.join(", ")),
        None => "there is none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_gets_a_suggestion() {
        let told = explain("unknown field `regoin`, expected one of `region`, `name`", &[]);
        assert_eq!(told, "unknown key; did you mean \"region\"?");
    }

    #[test]
    fn keys_that_serde_did_not_know_of_are_suggested_too() {
        let told = explain("unknown field `wnidow`, expected `url`", &["window"]);
        assert_eq!(told, "unknown key; did you mean \"window\"?");
    }

    #[test]
    fn a_key_like_no_other_gets_the_list() {
        let told = explain("unknown field `zzz`, expected `url`", &["window"]);
        assert_eq!(told, "unknown key; there is url, window");
    }

    #[test]
    fn a_wrong_duration_gets_an_example() {
        let told = explain("invalid type: integer `5`, expected a duration", &[]);
        assert!(told.ends_with("\"50ms\", \"10s\" or \"7d\""), "{told}");
    }
}
