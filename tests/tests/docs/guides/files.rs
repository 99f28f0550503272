//! The files that a guide shows: blocks whose first or second line is a comment with the file's name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tests::book::{Block, Page};

/// Writes them into `folder`; answers their names.
pub(super) fn write_files(guide: &str, folder: &Path) -> BTreeSet<String> {
    let mut written = BTreeSet::new();
    for block in Page::read(Path::new(guide)).blocks() {
        let Some(name) = file_name(&block) else { continue };
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("it is ours");
        fs::write(path, &block.text).expect("written");
        assert!(written.insert(name.to_owned()), "{guide} shows {name} twice");
    }
    assert!(!written.is_empty(), "{guide} shows no file");
    written
}

fn file_name(block: &Block) -> Option<&str> {
    let names = block.text.lines().take(2);
    let mut names = names.filter_map(|line| {
        line.strip_prefix("# ").or_else(|| line.strip_prefix("// ")).filter(|name| is_file(name))
    });
    names.next()
}

fn is_file(name: &str) -> bool {
    !name.contains(' ') && Path::new(name).extension().is_some()
}
