//! What to purge, from flags and files, cut into requests that a publisher takes.

use std::fs::File;
use std::io::{BufRead, BufReader, stdin};
use std::path::{Path, PathBuf};

use clap::Args;
use schemas::api::{BODY_BYTES_MAX, InvalidationRequest, SELECTORS_MAX, TAGS_MAX, UrlRequest};

use crate::exit::{Exit, Failure};

/// Bytes of a body kept for what is not selectors.
const FRAME_BYTES: usize = 16 * 1024;

/// The flags that say what is stale.
#[derive(Debug, Args)]
pub(super) struct Selectors {
    /// Exact URLs; the query counts
    #[arg(value_name = "URL", required_unless_present_any = ["prefix", "tag", "key", "everything", "from_file"])]
    url: Vec<String>,
    /// All below this URL, by whole path segments
    #[arg(long, value_name = "URL")]
    prefix: Vec<String>,
    /// All objects with this tag
    #[arg(long)]
    tag: Vec<String>,
    /// A raw key of a data cache
    #[arg(long)]
    key: Vec<String>,
    /// All of the site
    #[arg(long, requires = "confirm")]
    everything: bool,
    /// The site's name again, as consent to --everything
    #[arg(long, value_name = "SITE", requires = "everything")]
    confirm: Option<String>,
    /// More of the above from a file, or from stdin (-)
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

impl Selectors {
    /// As few requests as the publisher's limits allow, each like `frame`.
    pub(super) fn requests(
        &self,
        frame: &InvalidationRequest,
    ) -> Result<Vec<InvalidationRequest>, Failure> {
        let mut items = self.from_file.as_deref().map(read).transpose()?.unwrap_or_default();
        items.extend(self.url.iter().cloned().map(Item::Url));
        items.extend(self.prefix.iter().cloned().map(Item::Prefix));
        items.extend(self.tag.iter().cloned().map(Item::Tag));
        items.extend(self.key.iter().cloned().map(Item::Key));
        if items.is_empty() && !self.everything {
            return Err(Failure::message(Exit::WrongUsage, "the file names nothing to purge"));
        }
        let frame = InvalidationRequest {
            everything: self.everything,
            confirm: self.confirm.clone(),
            ..frame.clone()
        };
        Ok(cut(items, &frame))
    }
}

/// Reads a file, or stdin where it is `-`; every line that cannot be understood is told.
fn read(file: &Path) -> Result<Vec<Item>, Failure> {
    let read = if file == Path::new("-") {
        parse(stdin().lock())
    } else {
        let opened = File::open(file).map_err(|error| vec![error.to_string()]);
        opened.and_then(|opened| parse(BufReader::new(opened)))
    };
    read.map_err(|mistakes| {
        let mistakes: Vec<_> =
            mistakes.iter().map(|mistake| format!("{}: {mistake}", file.display())).collect();
        Failure::message(Exit::WrongUsage, mistakes.join("\n"))
    })
}

fn parse(lines: impl BufRead) -> Result<Vec<Item>, Vec<String>> {
    let mut items = Vec::new();
    let mut mistakes = Vec::new();
    for (at, line) in lines.lines().enumerate() {
        match line.map_err(|error| error.to_string()).and_then(|line| Item::parse(line.trim())) {
            Ok(item) => items.extend(item),
            Err(mistake) => mistakes.push(format!("line {}: {mistake}", at + 1)),
        }
    }
    if mistakes.is_empty() { Ok(items) } else { Err(mistakes) }
}

/// At least one request, even without items.
fn cut(items: Vec<Item>, frame: &InvalidationRequest) -> Vec<InvalidationRequest> {
    let mut requests = Vec::new();
    let mut request = frame.clone();
    let mut size = Size::default();
    for item in items {
        if !size.take(&item) {
            requests.push(std::mem::replace(&mut request, frame.clone()));
            size = Size::default();
            size.take(&item);
        }
        item.put_into(&mut request);
    }
    requests.push(request);
    requests
}

/// One selector as the user wrote it: the publisher judges it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Url(String),
    Prefix(String),
    Tag(String),
    Key(String),
}

impl Item {
    /// `None` for a line that says nothing.
    fn parse(line: &str) -> Result<Option<Self>, String> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        if line.starts_with("http://") || line.starts_with("https://") {
            return Ok(Some(Self::Url(line.to_owned())));
        }
        let parts = line.split_once(char::is_whitespace);
        let item = parts.and_then(|(kind, text)| {
            let text = text.trim().to_owned();
            match kind {
                "url" => Some(Self::Url(text)),
                "prefix" => Some(Self::Prefix(text)),
                "tag" => Some(Self::Tag(text)),
                "key" => Some(Self::Key(text)),
                _ => None,
            }
        });
        let wrong =
            || format!("cannot understand \"{line}\"; write url, prefix, tag or key, and which");
        item.map(Some).ok_or_else(wrong)
    }

    /// At most this long as an item of a JSON array: a control character becomes six bytes.
    fn json_bytes(&self) -> usize {
        let (Self::Url(text) | Self::Prefix(text) | Self::Tag(text) | Self::Key(text)) = self;
        let quotes_and_comma = 3;
        let bytes = |c: char| match c {
            '"' | '\\' => 2,
            c if c.is_control() => 6,
            c => c.len_utf8(),
        };
        text.chars().map(bytes).sum::<usize>() + quotes_and_comma
    }

    fn put_into(self, request: &mut InvalidationRequest) {
        match self {
            Self::Url(url) => request.urls.push(UrlRequest::Exact(url)),
            Self::Prefix(prefix) => request.prefixes.push(prefix),
            Self::Tag(tag) => request.tags.push(tag),
            Self::Key(key) => request.keys.push(key),
        }
    }
}

/// How large a request has become.
#[derive(Default)]
struct Size {
    selectors: usize,
    tags: usize,
    bytes: usize,
}

impl Size {
    /// Adds `item`, unless the request would then be too large; an empty one takes anything.
    fn take(&mut self, item: &Item) -> bool {
        let selectors = self.selectors + 1;
        let bytes = self.bytes + item.json_bytes();
        let tags = self.tags + usize::from(matches!(item, Item::Tag(_)));
        let fits =
            selectors <= SELECTORS_MAX && tags <= TAGS_MAX && bytes <= BODY_BYTES_MAX - FRAME_BYTES;
        if fits || self.selectors == 0 {
            *self = Self { selectors, tags, bytes };
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(count: usize, path: &str) -> Vec<Item> {
        (0..count).map(|at| Item::Url(format!("https://here/{at}{path}"))).collect()
    }

    #[test]
    fn a_file_names_selectors_of_every_kind() {
        let text = "# stale\nhttps://here/a\n\nurl http://here/b\n prefix https://here/c/ \ntag d\nkey e f\n";
        let items = parse(text.as_bytes()).expect("no mistakes");
        let expected = [
            Item::Url("https://here/a".to_owned()),
            Item::Url("http://here/b".to_owned()),
            Item::Prefix("https://here/c/".to_owned()),
            Item::Tag("d".to_owned()),
            Item::Key("e f".to_owned()),
        ];
        assert_eq!(items, expected);
    }

    #[test]
    fn every_line_that_says_nothing_clear_is_told() {
        let mistakes = parse("tag a\n/b\ntagg c\n".as_bytes()).expect_err("two mistakes");
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        assert!(mistakes[0].starts_with("line 2: ") && mistakes[1].starts_with("line 3: "));
    }

    #[test]
    fn no_request_is_larger_than_a_publisher_takes() {
        let frame = InvalidationRequest::default();
        for items in [urls(2_500, ""), urls(1_000, &"\u{7}".repeat(600))] {
            let total = items.len();
            let requests = cut(items, &frame);
            assert_eq!(requests.iter().map(|request| request.urls.len()).sum::<usize>(), total);
            for request in requests {
                let body = serde_json::to_vec(&request).expect("JSON");
                assert!(body.len() <= BODY_BYTES_MAX && request.urls.len() <= SELECTORS_MAX);
            }
        }
    }

    #[test]
    fn tags_beyond_the_limit_go_into_further_requests() {
        let tags = (0..=TAGS_MAX).map(|at| Item::Tag(at.to_string())).collect();
        let requests = cut(tags, &InvalidationRequest::default());
        let counts: Vec<_> = requests.iter().map(|request| request.tags.len()).collect();
        assert_eq!(counts, [TAGS_MAX, 1]);
    }

    #[test]
    fn everything_needs_one_request_and_no_selector() {
        let frame = InvalidationRequest { everything: true, ..InvalidationRequest::default() };
        assert_eq!(cut(Vec::new(), &frame), [frame]);
    }
}
