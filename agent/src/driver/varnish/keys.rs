//! The keys of `deploy/varnish/purgebus.vcl`, and how many go into one request.

use schemas::{Mode, Path, QueryMatch, Selector, Site, Sites};

use super::connection::Request;
use super::trouble::{Trouble, refused};
use crate::driver::{Batch, Purge, PurgeError};

/// Longest list of keys in one header: below varnishd's default `http_req_hdr_len` (8 KiB) with the header's name.
const LIST_BYTES_MAX: usize = 7_900;

/// Requests that purge `batch` where prefixes are keyed to `depth` segments.
pub(super) fn requests(
    authority: &str,
    sites: &Sites,
    depth: usize,
    batch: &Batch,
) -> Result<Vec<Request>, PurgeError> {
    let mut requests = Vec::new();
    for (mode, header) in [(Mode::Hard, "X-Purgebus-Hard"), (Mode::Soft, "X-Purgebus-Soft")] {
        let mut lists = Lists::default();
        for purge in batch.purges.iter().filter(|purge| purge.mode == mode) {
            push_keys(&mut lists, sites, depth, purge)?;
        }
        let lists = lists.0.iter();
        requests.extend(lists.map(|list| Request::new("PURGE", "/", authority).with(header, list)));
    }
    Ok(requests)
}

fn push_keys(
    lists: &mut Lists,
    sites: &Sites,
    depth: usize,
    purge: &Purge,
) -> Result<(), PurgeError> {
    let site = || -> Result<&Site, PurgeError> {
        sites.get(&purge.site).ok_or_else(|| refused(Trouble::UnknownSite(purge.site.clone())))
    };
    match &purge.selector {
        Selector::Url { host, path, query: QueryMatch::Exact(None), .. } => {
            lists.push(&["u:", host.as_str(), path.as_str()]);
        }
        Selector::Url { host, path, query: QueryMatch::Exact(Some(query)), .. } => {
            lists.push(&["u:", host.as_str(), path.as_str(), "?", query.as_str()]);
        }
        Selector::Url { host, path, query: QueryMatch::Any, .. } => {
            lists.push(&["q:", host.as_str(), path.as_str()]);
        }
        Selector::Prefix { host, path } => push_prefix_keys(lists, host.as_str(), path, depth),
        Selector::Tag(tag) => {
            for host in &site()?.hosts {
                lists.push(&["t:", host.as_str(), "/", tag.as_str()]);
            }
        }
        Selector::Everything => {
            for host in &site()?.hosts {
                lists.push(&["s:", host.as_str()]);
            }
        }
        Selector::Key(_) => return Err(refused(Trouble::RawKey)),
    }
    Ok(())
}

/// `/a` is `/a` itself and what lies below `/a/`. A prefix deeper than the keys purges at their depth: more than it
/// names, for less would leave stale content.
fn push_prefix_keys(lists: &mut Lists, host: &str, path: &Path, depth: usize) {
    let path = path.as_str();
    let deepest = path.match_indices('/').map(|(at, _)| at).nth(depth);
    if let Some(deepest) = deepest.filter(|deepest| deepest + 1 < path.len()) {
        lists.push(&["p:", host, &path[..=deepest]]);
    } else if path == "/" {
        lists.push(&["s:", host]);
    } else if path.ends_with('/') {
        lists.push(&["p:", host, path]);
    } else {
        lists.push(&["q:", host, path]);
        lists.push(&["p:", host, path, "/"]);
    }
}

/// Lists of keys, each short enough for one header.
#[derive(Debug, Default)]
struct Lists(Vec<String>);

impl Lists {
    /// One more key, of these parts. Commas separate keys, so they are escaped: no canonical text holds `%_`.
    fn push(&mut self, parts: &[&str]) {
        if self.0.is_empty() {
            self.0.push(String::new());
        }
        let Some(list) = self.0.last_mut() else { return };
        let before = list.len();
        if before > 0 {
            list.push(' ');
        }
        for part in parts {
            push_escaped(list, part);
        }
        if before > 0 && list.len() > LIST_BYTES_MAX {
            let key = list.split_off(before + 1);
            list.truncate(before);
            self.0.push(key);
        }
    }
}

fn push_escaped(list: &mut String, part: &str) {
    for (at, piece) in part.split(',').enumerate() {
        if at > 0 {
            list.push_str("%_");
        }
        list.push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix_keys(path: &str) -> Vec<String> {
        let mut lists = Lists::default();
        push_prefix_keys(&mut lists, "h", &path.parse().unwrap(), 3);
        lists.0.iter().flat_map(|list| list.split(' ')).map(str::to_owned).collect()
    }

    #[test]
    fn a_prefix_is_itself_and_what_lies_below() {
        assert_eq!(prefix_keys("/"), ["s:h"]);
        assert_eq!(prefix_keys("/a"), ["q:h/a", "p:h/a/"]);
        assert_eq!(prefix_keys("/a/"), ["p:h/a/"]);
        assert_eq!(prefix_keys("/a/b,/c"), ["q:h/a/b%_/c", "p:h/a/b%_/c/"]);
    }

    #[test]
    fn a_prefix_deeper_than_the_keys_purges_at_their_depth() {
        assert_eq!(prefix_keys("/a/b/c/"), ["p:h/a/b/c/"]);
        assert_eq!(prefix_keys("/a/b/c/d"), ["p:h/a/b/c/"]);
        assert_eq!(prefix_keys("/a/b/c/d/e/"), ["p:h/a/b/c/"]);
    }

    #[test]
    fn lists_are_full_but_never_too_long() {
        let keys = (0..1_000).map(|at| format!("u:h/{at:0>90}")).collect::<Vec<_>>();
        let mut lists = Lists::default();
        for key in &keys {
            lists.push(&[&key[..4], &key[4..]]);
        }
        let lists = lists.0;
        assert!(lists.iter().all(|list| list.len() <= LIST_BYTES_MAX));
        assert_eq!(lists.len(), 1_000_usize.div_ceil(LIST_BYTES_MAX / 95));
        assert_eq!(lists.join(" ").split(' ').map(str::to_owned).collect::<Vec<_>>(), keys);
    }
}
