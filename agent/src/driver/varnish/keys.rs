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
        let mut keys = Vec::new();
        for purge in batch.purges.iter().filter(|purge| purge.mode == mode) {
            push_keys(&mut keys, sites, depth, purge)?;
        }
        requests.extend(
            pack(&keys)
                .into_iter()
                .map(|list| Request::new("PURGE", "/", authority).with(header, &list)),
        );
    }
    Ok(requests)
}

fn push_keys(
    keys: &mut Vec<String>,
    sites: &Sites,
    depth: usize,
    purge: &Purge,
) -> Result<(), PurgeError> {
    let site = || -> Result<&Site, PurgeError> {
        sites.get(&purge.site).ok_or_else(|| refused(Trouble::UnknownSite(purge.site.clone())))
    };
    match &purge.selector {
        Selector::Url { host, path, query: QueryMatch::Exact(None), .. } => {
            keys.push(format!("u:{host}{}", escaped(path.as_str())));
        }
        Selector::Url { host, path, query: QueryMatch::Exact(Some(query)), .. } => {
            keys.push(format!("u:{host}{}?{}", escaped(path.as_str()), escaped(query.as_str())));
        }
        Selector::Url { host, path, query: QueryMatch::Any, .. } => {
            keys.push(format!("q:{host}{}", escaped(path.as_str())));
        }
        Selector::Prefix { host, path } => push_prefix_keys(keys, host.as_str(), path, depth),
        Selector::Tag(tag) => {
            keys.extend(site()?.hosts.iter().map(|host| format!("t:{host}/{tag}")));
        }
        Selector::Everything => keys.extend(site()?.hosts.iter().map(|host| format!("s:{host}"))),
        Selector::Key(_) => return Err(refused(Trouble::RawKey)),
    }
    Ok(())
}

/// `/a` is `/a` itself and what lies below `/a/`. A prefix deeper than the keys purges at their depth: more than it
/// names, for less would leave stale content.
fn push_prefix_keys(keys: &mut Vec<String>, host: &str, path: &Path, depth: usize) {
    let path = path.as_str();
    let slashes = path.match_indices('/').map(|(at, _)| at).collect::<Vec<_>>();
    if let Some(deepest) = slashes.get(depth).copied().filter(|deepest| deepest + 1 < path.len()) {
        keys.push(format!("p:{host}{}", escaped(&path[..=deepest])));
    } else if path == "/" {
        keys.push(format!("s:{host}"));
    } else if path.ends_with('/') {
        keys.push(format!("p:{host}{}", escaped(path)));
    } else {
        keys.push(format!("q:{host}{}", escaped(path)));
        keys.push(format!("p:{host}{}/", escaped(path)));
    }
}

/// Commas separate keys. No canonical text holds `%_`.
fn escaped(text: &str) -> String {
    text.replace(',', "%_")
}

/// Lists of keys, each short enough for one header.
fn pack(keys: &[String]) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for key in keys {
        match lists.last_mut() {
            Some(list) if list.len() + 1 + key.len() <= LIST_BYTES_MAX => {
                list.push(' ');
                list.push_str(key);
            }
            _ => lists.push(key.clone()),
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix_keys(path: &str) -> Vec<String> {
        let mut keys = Vec::new();
        push_prefix_keys(&mut keys, "h", &path.parse().unwrap(), 3);
        keys
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
        let lists = pack(&keys);
        assert!(lists.iter().all(|list| list.len() <= LIST_BYTES_MAX));
        assert_eq!(lists.len(), 1_000_usize.div_ceil(LIST_BYTES_MAX / 95));
        assert_eq!(lists.join(" ").split(' ').map(str::to_owned).collect::<Vec<_>>(), keys);
    }
}
