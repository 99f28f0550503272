//! What `docs/caches/redis.md` tells users to write.

const BOOK: &str = include_str!("../../../docs/caches/redis.md");

/// The `[[agent.cache]]` of the book, at another address and with another password file.
pub(crate) fn config(
    address: std::net::SocketAddr,
    password_file: &std::path::Path,
) -> toml::Table {
    let block = BOOK.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let file: toml::Table = block.parse().unwrap();
    let mut cache = file["agent"]["cache"][0].as_table().unwrap().clone();
    assert_eq!(cache.remove("driver").unwrap().as_str(), Some("redis"));
    cache.remove("name").unwrap();
    let url = cache["url"].as_str().unwrap().replace("127.0.0.1:6379", &address.to_string());
    cache.insert("url".to_owned(), url.into());
    cache.insert("password_file".to_owned(), password_file.display().to_string().into());
    cache
}

/// The command that makes the user with the least rights.
pub(crate) fn least_privilege() -> redis::Cmd {
    let line = BOOK.lines().find(|line| line.starts_with("ACL SETUSER")).unwrap();
    let mut command = redis::Cmd::new();
    for word in line.split_whitespace() {
        command.arg(word);
    }
    command
}

/// Its password.
pub(crate) const PASSWORD: &str = "change-me";
