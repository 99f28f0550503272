//! What each purge takes and what it leaves.

use schemas::Url;

use super::object::{
    HOST, MAIN, OTHER, OTHER_HOST, Object, SECOND_HOST, any_query, everything, key, prefix, tag,
    url,
};
use crate::driver::Purge;

/// After `purges`, everything in `gone` is gone and everything in `kept` is still there.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) sentence: String,
    pub(super) purges: Vec<Purge>,
    pub(super) gone: Vec<Object>,
    pub(super) kept: Vec<Object>,
}

impl Case {
    pub(super) fn has_variants(&self) -> bool {
        self.gone.iter().any(|object| object.variant.is_some())
    }
}

/// What ordinary content is purged by.
pub(super) fn ordinary() -> Vec<Case> {
    [urls(), prefixes(), tags(), keys(), whole_sites(), mixed()].concat()
}

/// Names that would mean something else in a pattern, a template, a list or another encoding.
pub(super) fn hostile() -> Vec<Case> {
    [hostile_paths(), hostile_tags(), hostile_keys()].concat()
}

fn case(sentence: &str, purges: &[Purge], gone: &[Object], kept: &[Object]) -> Case {
    Case {
        sentence: sentence.to_owned(),
        purges: purges.to_vec(),
        gone: gone.to_vec(),
        kept: kept.to_vec(),
    }
}

fn pages(paths: &[&str]) -> Vec<Object> {
    paths.iter().map(|path| Object::page(path)).collect()
}

/// The same path on the site's second host and on another site.
fn elsewhere(path: &str) -> [Object; 2] {
    [Object::page_of(MAIN, SECOND_HOST, path), Object::page_of(OTHER, OTHER_HOST, path)]
}

fn urls() -> Vec<Case> {
    vec![
        case(
            "a url takes only its path without a query, on its host",
            &[url("/a")],
            &pages(&["/a"]),
            &[&pages(&["/a?x=1", "/a/", "/a/b", "/ab", "/A", "/"])[..], &elsewhere("/a")].concat(),
        ),
        case(
            "a url takes only its query",
            &[url("/a?x=1")],
            &pages(&["/a?x=1"]),
            &pages(&["/a", "/a?x=2", "/a?x=1&y=2", "/a?x=11", "/a?X=1"]),
        ),
        case(
            "a url with any query takes its path with and without one",
            &[any_query("/a")],
            &pages(&["/a", "/a?x=1", "/a?y=/b?c"]),
            &[&pages(&["/a/", "/a/b", "/ab", "/b?x=/a"])[..], &elsewhere("/a?x=1")].concat(),
        ),
        case(
            "a url takes all of its variants",
            &[url("/varied")],
            &[Object::page("/varied").variant("de"), Object::page("/varied").variant("fr")],
            &[Object::page("/varied-too").variant("de")],
        ),
        case("a root takes itself", &[url("/")], &pages(&["/"]), &pages(&["/a", "/?x=1"])),
    ]
}

fn prefixes() -> Vec<Case> {
    vec![
        case(
            "a prefix takes whole segments",
            &[prefix("/blog")],
            &pages(&["/blog", "/blog?x=1", "/blog/", "/blog/a", "/blog/a/b?x=1", "/blog//c"]),
            &[
                &pages(&["/", "/blogger", "/blog-2", "/Blog", "/a/blog", "/a?/blog/b"])[..],
                &elsewhere("/blog/a"),
            ]
            .concat(),
        ),
        case(
            "a prefix with a slash leaves the path without it",
            &[prefix("/blog/")],
            &pages(&["/blog/", "/blog/?x=1", "/blog/a"]),
            &pages(&["/blog", "/blog?x=1", "/blogger/a"]),
        ),
        case(
            "a prefix of several segments leaves its neighbours",
            &[prefix("/a/b/c")],
            &pages(&["/a/b/c", "/a/b/c/d"]),
            &pages(&["/a/b", "/a/b/", "/a/b/cc", "/a/b/d"]),
        ),
        case(
            "a prefix of eight segments is exact",
            &[prefix("/1/2/3/4/5/6/7/8")],
            &pages(&["/1/2/3/4/5/6/7/8", "/1/2/3/4/5/6/7/8/9/10/11/12?x=1"]),
            &pages(&["/1/2/3/4/5/6/7/88", "/1/2/3/4/5/6/7/9/9/10"]),
        ),
        case(
            "a prefix of twelve segments takes all below it",
            &[prefix("/1/2/3/4/5/6/7/8/9/10/11/12")],
            &pages(&["/1/2/3/4/5/6/7/8/9/10/11/12", "/1/2/3/4/5/6/7/8/9/10/11/12/13?x=1"]),
            &pages(&["/1/2/3/4/5/6/7/88", "/1/2/3/4/5/6/7/"]),
        ),
        case(
            "the root prefix takes one host",
            &[prefix("/")],
            &pages(&["/", "/?x=1", "/a", "/a/b/c"]),
            &elsewhere("/a"),
        ),
        case(
            "a prefix takes all variants",
            &[prefix("/varied")],
            &[Object::page("/varied/a").variant("de"), Object::page("/varied/a").variant("fr")],
            &[],
        ),
    ]
}

fn tags() -> Vec<Case> {
    let tagged = |path: &str, tags: &[&str]| Object::page(path).tagged(tags);
    vec![
        case(
            "a tag takes what has it, on every host of its site and on no other site",
            &[tag("article-1")],
            &[
                tagged("/one", &["article-1"]),
                tagged("/list?page=2", &["list", "article-1", "article-2"]),
                Object::page_of(MAIN, SECOND_HOST, "/one").tagged(&["article-1"]),
            ],
            &[
                tagged("/two", &["article-2"]),
                tagged("/longer", &["article-10", "particle-1"]),
                tagged("/other-case", &["Article-1"]),
                tagged("/article-1", &[]),
                Object::page_of(OTHER, OTHER_HOST, "/one").tagged(&["article-1"]),
            ],
        ),
        case(
            "a tag takes all variants",
            &[tag("varied")],
            &[tagged("/v", &["varied"]).variant("de"), tagged("/v", &["varied"]).variant("fr")],
            &[],
        ),
    ]
}

fn keys() -> Vec<Case> {
    vec![case(
        "a key takes only itself, of its own site",
        &[key("cart:1")],
        &[Object::key(MAIN, "cart:1")],
        &[Object::key(MAIN, "cart:10"), Object::key(MAIN, "cart:"), Object::key(OTHER, "cart:1")],
    )]
}

fn whole_sites() -> Vec<Case> {
    let below = |path: &str| Object::page_of(MAIN, SECOND_HOST, path);
    vec![
        case(
            "everything takes all pages of the site and none of another",
            &[everything()],
            &[Object::page("/"), Object::page("/a?x=1").tagged(&["t"]), below("/"), below("/a/b")],
            &[Object::page_of(OTHER, OTHER_HOST, "/"), Object::page_of(OTHER, OTHER_HOST, "/a")],
        ),
        case(
            "everything takes all keys of the site and none of another",
            &[everything()],
            &[Object::key(MAIN, "a"), Object::key(MAIN, "main:*[x]")],
            &[Object::key(OTHER, "a"), Object::key(OTHER, "main")],
        ),
    ]
}

/// One case for each of `names`: purging it leaves all others.
fn each_alone<T>(
    what: &str,
    names: &[T],
    object: impl Fn(&T) -> Object,
    purge: impl Fn(&T) -> Purge,
) -> Vec<Case> {
    let others = |at: usize| names.iter().enumerate().filter(move |(other, _)| *other != at);
    (0..names.len())
        .map(|at| Case {
            sentence: format!("the {what} of {} is taken as written", object(&names[at])),
            purges: vec![purge(&names[at])],
            gone: vec![object(&names[at])],
            kept: others(at).map(|(_, name)| object(name)).collect(),
        })
        .collect()
}

fn hostile_paths() -> Vec<Case> {
    let longest = format!("/{}", "l".repeat(2_047));
    let commas = format!("/{}", ",".repeat(2_047));
    let shorter = &longest[..2_047];
    let mut paths: Vec<&str> = vec![&longest, shorter, &commas];
    paths.extend([
        "/*", "/a*", "/a*b", "/a%2Ab", "/aXb", "/[a-z]", "/a", "/b", "/(a|b)", "/.+", "/.*",
    ]);
    paths.extend([
        "/a;b", "/a'b", "/a\"b", "/a,b", "/a%2Cb", "/a%20b", "/^a", "/a$", "/a%5Cb", "/%_",
    ]);
    paths.extend([
        "/a?x=*",
        "/a?x=,",
        "/a?x=(",
        "/s:www.example.com",
        "/,s:www.example.com",
        "/?*",
    ]);
    // Whatever the canonical form refuses can never arrive.
    paths.retain(|path| format!("https://{HOST}{path}").parse::<Url>().is_ok());
    each_alone("path", &paths, |path| Object::page(path), |path| url(path))
}

fn hostile_tags() -> Vec<Case> {
    let longest = "t".repeat(256);
    let names = [
        &longest,
        &longest[..255],
        "*",
        "a*",
        "ab",
        "[ab]",
        "(",
        ")",
        "a|b",
        "a;b",
        "'",
        "%2A",
        "%2a",
        "t:*",
        "s:www.example.com",
        "www.example.com",
        "?",
        ".",
        "a",
        "{tag}",
        "a:b",
        "a/b",
        "$",
        "^",
    ];
    each_alone(
        "tag",
        &names.iter().enumerate().collect::<Vec<_>>(),
        |(at, name)| Object::page(&format!("/tagged-{at}")).tagged(&[name]),
        |(_, name)| tag(name),
    )
}

fn hostile_keys() -> Vec<Case> {
    let longest = "k".repeat(512);
    let names = [
        &longest,
        &longest[..511],
        "*",
        "a*",
        "ab",
        "[ab]",
        "a?",
        "ac",
        "\\*",
        "a\"b",
        "'",
        "{key}",
        ",",
        "%2A",
        "main:a",
        "a",
        "$(a)",
        ";",
    ];
    each_alone("key", &names, |name| Object::key(MAIN, name), |name| key(name))
}

fn mixed() -> Vec<Case> {
    vec![case(
        "a batch of several kinds takes what each names",
        &[url("/a"), any_query("/b"), prefix("/c"), tag("t"), url("/never-stored")],
        &[
            Object::page("/a"),
            Object::page("/b?x=1"),
            Object::page("/c/d"),
            Object::page("/e").tagged(&["t", "u"]),
        ],
        &[
            Object::page("/a?x=1"),
            Object::page("/b/b"),
            Object::page("/cc"),
            Object::page("/f").tagged(&["u"]),
        ],
    )]
}
