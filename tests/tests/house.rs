//! The edges of the house: who may know whom.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each member may depend on; a new member must be entered here.
const MAY_KNOW: [(&str, &[&str]); 9] = [
    ("schemas", &[]),
    ("broker-adapter", &[]),
    ("daemon", &[]),
    ("agent", &["schemas", "broker-adapter", "daemon"]),
    ("publisher", &["schemas", "broker-adapter", "daemon"]),
    ("purgebus", &["schemas", "broker-adapter", "daemon", "agent", "publisher"]),
    ("tests", &["schemas", "broker-adapter", "daemon", "agent", "publisher", "purgebus"]),
    ("fuzz", &["schemas", "agent", "publisher", "purgebus"]),
    ("loadtest", &["schemas", "broker-adapter", "daemon", "agent", "publisher", "tests"]),
];

fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata of this workspace");
    let members: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let known = |package: &cargo_metadata::Package| {
        let all = package.dependencies.iter();
        let used = all.filter(|edge| edge.kind != DependencyKind::Development);
        used.map(|edge| edge.name.clone()).filter(|name| members.contains(name)).collect()
    };
    metadata.packages.iter().map(|package| (package.name.to_string(), known(package))).collect()
}

#[test]
fn nobody_knows_more_than_the_house_allows() {
    let allowed: BTreeMap<_, _> = MAY_KNOW.into_iter().collect();
    for (member, knows) in edges() {
        let allowed = allowed.get(member.as_str()).unwrap_or_else(|| {
            panic!("{member} is new: enter what it may know in this test and in ARCHITECTURE.md")
        });
        for name in knows {
            assert!(allowed.contains(&name.as_str()), "{member} must not know {name}");
        }
    }
}

#[test]
fn every_member_of_the_house_is_there() {
    let members: BTreeSet<String> = edges().into_keys().collect();
    let expected: BTreeSet<String> = MAY_KNOW.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(members, expected);
}
