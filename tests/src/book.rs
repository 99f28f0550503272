//! The project's pages, as their readers see them: blocks of code, links, headings.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// The project's folder.
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The `purgebus` of this build.
///
/// # Panics
/// When it is not built: a test cannot ask cargo for another package's binary. `tests/run` builds it first.
pub fn purgebus() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    let profile = test.ancestors().nth(2).expect("it lies in target/PROFILE/deps");
    let binary = profile.join("purgebus");
    assert!(binary.exists(), "{} is missing: cargo build --bin purgebus", binary.display());
    binary
}

/// Every page of the project.
///
/// # Panics
/// When one cannot be read.
pub fn pages() -> Vec<Page> {
    let mut names: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(PathBuf::from).to_vec();
    for folder in ["docs", "deploy"] {
        collect(Path::new(folder), &mut names);
    }
    names.iter().map(|name| Page::read(name)).collect()
}

fn collect(folder: &Path, names: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(project().join(folder)).expect("a folder of the project");
    for entry in entries {
        let entry = entry.expect("a readable entry");
        let name = folder.join(entry.file_name());
        if entry.path().is_dir() {
            collect(&name, names);
        } else if name.extension().is_some_and(|extension| extension == "md") {
            names.push(name);
        }
    }
}

/// A page.
#[derive(Debug)]
pub struct Page {
    /// Where it lies in the project.
    pub name: PathBuf,
    /// Its Markdown.
    pub text: String,
}

/// A block of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What the fence says it is: `sh`, `toml`, `text`.
    pub language: String,
    /// What stands in it.
    pub text: String,
}

impl Page {
    /// The page of that name.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn read(name: &Path) -> Self {
        let text = fs::read_to_string(project().join(name));
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", name.display()));
        Self { name: name.to_owned(), text }
    }

    /// Its blocks of code.
    pub fn blocks(&self) -> Vec<Block> {
        blocks(&self.text)
    }

    /// Code within its sentences.
    pub fn code_spans(&self) -> Vec<String> {
        let spans = parser(&self.text).filter_map(|event| match event {
            Event::Code(code) => Some(code.into_string()),
            _ => None,
        });
        spans.collect()
    }

    /// Where its links lead.
    pub fn links(&self) -> Vec<String> {
        let links = parser(&self.text).filter_map(|event| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                Some(dest_url.into_string())
            }
            _ => None,
        });
        links.collect()
    }

    /// The names under which its headings can be linked to.
    pub fn anchors(&self) -> HashSet<String> {
        self.headings().iter().map(|heading| anchor(heading)).collect()
    }

    /// The rows of every table under the heading `title`, down to the next one; a row is its cells' text.
    pub fn rows_under(&self, title: &str) -> Vec<Vec<String>> {
        let mut here = false;
        let mut rows: Vec<Vec<String>> = Vec::new();
        let (mut heading, mut cell) = (None::<String>, None::<String>);
        for event in parser(&self.text) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => here = heading.take().as_deref() == Some(title),
                Event::Start(Tag::TableRow) if here => rows.push(Vec::new()),
                Event::Start(Tag::TableCell) => cell = Some(String::new()),
                Event::End(TagEnd::TableCell) => {
                    if let (Some(row), Some(cell)) = (rows.last_mut().filter(|_| here), cell.take())
                    {
                        row.push(cell);
                    }
                }
                Event::Text(text) | Event::Code(text) => {
                    for open in [&mut heading, &mut cell].into_iter().flatten() {
                        open.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        rows
    }

    fn headings(&self) -> Vec<String> {
        let mut open = None::<String>;
        let mut headings = Vec::new();
        for event in parser(&self.text) {
            match event {
                Event::Start(Tag::Heading { .. }) => open = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => headings.extend(open.take()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut open {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        headings
    }
}

/// The blocks of code in a piece of Markdown.
pub fn blocks(markdown: &str) -> Vec<Block> {
    let mut open = None::<Block>;
    let mut blocks = Vec::new();
    for event in parser(markdown) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.into_string(),
                    CodeBlockKind::Indented => String::new(),
                };
                open = Some(Block { language, text: String::new() });
            }
            Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
            Event::Text(text) => {
                if let Some(block) = &mut open {
                    block.text.push_str(&text);
                }
            }
            _ => {}
        }
    }
    blocks
}

fn parser(markdown: &str) -> Parser<'_> {
    Parser::new_ext(markdown, Options::ENABLE_TABLES)
}

/// The anchor that GitHub and mdBook make of a heading.
fn anchor(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page { name: "page.md".into(), text: text.to_owned() }
    }

    #[test]
    fn links_and_commands_in_code_are_code() {
        let page = page("[a](b.md#c) `[d](e)`\n\n```sh\n[f](g)\n```\n");
        assert_eq!(page.links(), ["b.md#c"]);
        assert_eq!(page.code_spans(), ["[d](e)"]);
        assert_eq!(page.blocks(), [Block { language: "sh".into(), text: "[f](g)\n".into() }]);
    }

    #[test]
    fn headings_are_linked_to_as_on_github() {
        let page = page("# `driver = \"redis\"`\n## Who owes it, and why\n");
        let expected = ["driver--redis", "who-owes-it-and-why"].map(str::to_owned);
        assert_eq!(page.anchors(), expected.into());
    }

    #[test]
    fn rows_are_those_under_their_heading() {
        let page = page("# A\n| x |\n|-|\n| `1` |\n\n# B\n| x |\n|-|\n| 2 |\n");
        assert_eq!(page.rows_under("A"), [["1"]]);
        assert_eq!(page.rows_under("B"), [["2"]]);
    }
}
