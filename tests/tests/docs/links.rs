//! Links within the project, and the list of the docs' pages.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use super::installed::installed;

use tests::book::{Page, pages, project};

/// How paths within the project begin.
const HOUSE: [&str; 10] = [
    "schemas/",
    "broker-adapter/",
    "daemon/",
    "agent/",
    "publisher/",
    "cli/",
    "tests/",
    "loadtest/",
    "docs/",
    "deploy/",
];

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let broken: Vec<_> = pages
        .iter()
        .flat_map(|page| page.links().into_iter().map(move |link| (page, link)))
        .filter(|(page, link)| !leads_somewhere(page, link))
        .map(|(page, link)| format!("{}: {link}", page.name.display()))
        .collect();
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

/// Only what lies in the project is looked at: tests need no network.
fn leads_somewhere(page: &Page, link: &str) -> bool {
    if link.contains("://") {
        return true;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(f, a)| (f, Some(a)));
    if file.is_empty() {
        return anchor.is_some_and(|anchor| page.anchors().contains(anchor));
    }
    let name = page.name.parent().unwrap_or(Path::new("")).join(file);
    let exists = project().join(&name).exists();
    exists && anchor.is_none_or(|anchor| Page::read(&name).anchors().contains(anchor))
}

#[test]
fn the_book_is_whole_by_itself() {
    let book = pages().into_iter().filter(|page| page.name.starts_with("docs"));
    let outside = book.flat_map(|page| {
        let folder = page.name.parent().expect("a folder").to_owned();
        let links = page.links().into_iter().filter(|link| !link.contains("://"));
        let led_out = links.filter(move |link| {
            let steps_up = link.matches("../").count();
            steps_up >= folder.components().count()
        });
        led_out.map(move |link| format!("{}: {link}", page.name.display())).collect::<Vec<_>>()
    });
    assert_eq!(outside.collect::<Vec<_>>(), Vec::<String>::new(), "mdBook cannot follow these");
}

#[tokio::test]
async fn mdbook_builds_the_book_with_every_page() {
    let mdbook = installed("mdbook").await;
    let built = tempfile::tempdir().expect("a fresh folder");
    let mut command = Command::new(Path::new(&mdbook).join("mdbook"));
    command.args(["build", "--dest-dir"]).arg(built.path()).arg(project().join("docs"));
    let running = tokio::task::spawn_blocking(move || command.output());
    let output = running.await.expect("no panic").expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("WARN"), "{said}");
    for page in Page::read(Path::new("docs/SUMMARY.md")).links() {
        let page = page.replace("README.md", "index.html").replace(".md", ".html");
        assert!(built.path().join(&page).exists(), "{page} is missing: {said}");
    }
}

#[test]
fn every_path_named_is_there() {
    let mut gone = Vec::new();
    for page in pages() {
        let spans = page.code_spans().into_iter();
        let paths = spans.filter(|span| HOUSE.iter().any(|part| span.starts_with(part)));
        for path in paths.filter(|path| !project().join(without_pattern(path)).exists()) {
            gone.push(format!("{}: {path}", page.name.display()));
        }
    }
    assert!(gone.is_empty(), "there is no such path:\n{}", gone.join("\n"));
}

/// The folder of `folder/*.bin`.
fn without_pattern(path: &str) -> &str {
    path.split_once('*').map_or(path, |(folder, _)| folder)
}

#[test]
fn every_page_of_the_docs_is_in_their_summary() {
    let summary = Page::read(Path::new("docs/SUMMARY.md"));
    let listed: BTreeSet<_> = summary.links().into_iter().collect();
    let names = pages().into_iter().filter_map(|page| {
        let name = page.name.strip_prefix("docs").ok()?;
        (name != Path::new("SUMMARY.md")).then(|| name.display().to_string())
    });
    assert_eq!(listed, names.collect());
}
