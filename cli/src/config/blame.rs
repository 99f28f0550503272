//! Parts a message about a whole table into the keys that it blames.
//!
//! A driver that checks its table as a whole tells all that is wrong in one message, "url is ...; keys.tag
//! holds ...": each belongs at the place of its key.

/// The message in parts, each with the way to the key that it begins with, or an empty one.
pub(super) fn blame(message: &str, keys: &[&str]) -> Vec<(Vec<String>, String)> {
    let mut parts = Vec::<(Vec<String>, String)>::new();
    for clause in message.split("; ") {
        let way = way(clause, keys);
        match parts.last_mut() {
            // Not every semicolon begins a new mistake.
            Some((_, text)) if way.is_empty() => {
                text.push_str("; ");
                text.push_str(clause);
            }
            _ => parts.push((way, clause.to_owned())),
        }
    }
    parts
}

fn way(clause: &str, keys: &[&str]) -> Vec<String> {
    let way: Vec<_> =
        clause.split(' ').next().unwrap_or_default().split('.').map(str::to_owned).collect();
    if keys.contains(&way[0].as_str()) { way } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_goes_to_the_key_it_begins_with() {
        let message = "url is odd; write another; keys.tag holds {x}; timeout is zero";
        let parts = blame(message, &["url", "keys", "timeout"]);
        let ways: Vec<_> = parts.iter().map(|(way, _)| way.join(".")).collect();
        assert_eq!(ways, ["url", "keys.tag", "timeout"]);
        assert_eq!(parts[0].1, "url is odd; write another");
    }

    #[test]
    fn what_blames_no_key_stays_whole() {
        assert_eq!(blame("it is odd; truly", &["url"]), [(vec![], "it is odd; truly".to_owned())]);
    }
}
