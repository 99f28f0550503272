//! A folder as an origin: its files under their paths, `index.html` under the folder's own.
//!
//! Symbolic links and hidden files are not there: a file has one name, below the folder, and whoever changes it
//! changes what is watched.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST as HOST_HEADER, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use percent_encoding::percent_decode_str;

use crate::demo::stage::HOST;

/// Largest file that is served: what the edges take.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// For caches that are purged, not for browsers: those ask again each time, so that a reload shows what the edge has.
const FOR_EDGES: &str = "public, max-age=0, s-maxage=3600";
const FOR_NOBODY: &str = "no-store";
/// What stands for its folder.
pub(super) const INDEX: &str = "index.html";

/// Why a folder cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadFolder {
    /// It is not there, or not readable.
    #[error("cannot serve {0}")]
    Unreadable(PathBuf, #[source] io::Error),
    /// It is something else.
    #[error("cannot serve {0}: it is not a folder")]
    NoFolder(PathBuf),
    /// Looking through it would take too long.
    #[error("cannot watch {0}: it holds more than {1} files and folders")]
    TooLarge(PathBuf, usize),
}

/// A folder that is served.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// If it is one that can be read.
    pub(crate) fn open(path: &Path) -> Result<Self, BadFolder> {
        let unreadable = |error| BadFolder::Unreadable(path.to_owned(), error);
        let root = path.canonicalize().map_err(unreadable)?;
        if !root.is_dir() {
            return Err(BadFolder::NoFolder(path.to_owned()));
        }
        fs::read_dir(&root).map_err(unreadable)?;
        Ok(Self { root })
    }

    /// Its path without symbolic links.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What lies at a URL's path.
    fn find(&self, path: &str) -> io::Result<Found> {
        let file = self.located(path).ok_or(ErrorKind::NotFound)?;
        // Equal only where no part of it is a symbolic link.
        if file.canonicalize()? != file {
            return Err(ErrorKind::NotFound.into());
        }
        match fs::metadata(&file)? {
            found if found.is_dir() && path.ends_with('/') => read(&file.join(INDEX)),
            found if found.is_dir() => Ok(Found::Folder),
            _ if path.ends_with('/') => Err(ErrorKind::NotFound.into()),
            _ => read(&file),
        }
    }

    /// Where a URL's path leads; none where a part of it is no visible name.
    fn located(&self, path: &str) -> Option<PathBuf> {
        let path = path.strip_prefix('/')?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut file = self.root.clone();
        for name in path.split('/').filter(|_| !path.is_empty()) {
            let name = percent_decode_str(name).collect::<Vec<_>>();
            let strange = name.contains(&b'/') || name.contains(&0);
            if name.is_empty() || strange || is_hidden(OsStr::from_bytes(&name)) {
                return None;
            }
            file.push(OsStr::from_bytes(&name));
        }
        Some(file)
    }
}

/// What lies at a path.
#[derive(Debug)]
enum Found {
    File(Vec<u8>, mime_guess::Mime),
    TooLarge,
    /// A folder without the slash at its end, against which its links count.
    Folder,
}

/// Whether a name is left out; `.` and `..` are among these.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".")
}

fn read(file: &Path) -> io::Result<Found> {
    // A link would lead away, and a pipe would make us wait for ever.
    if !fs::symlink_metadata(file)?.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let mut bytes = Vec::new();
    File::open(file)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Ok(Found::TooLarge);
    }
    Ok(Found::File(bytes, mime_guess::from_path(file).first_or_octet_stream()))
}

/// The folder's pages.
pub(crate) fn router(folder: Arc<Folder>) -> Router {
    Router::new().fallback_service(get(serve).with_state(folder))
}

async fn serve(State(folder): State<Arc<Folder>>, headers: HeaderMap, uri: Uri) -> Response {
    // Edges ask for the site's host; anybody else came by a name that is not ours.
    if headers.get(HOST_HEADER).is_none_or(|host| host != HOST) {
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    let path = uri.path().to_owned();
    let found = tokio::task::spawn_blocking(move || folder.find(&path)).await;
    match found.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(found) => answer(found, &uri),
        Err(error) => refusal(&error),
    }
}

fn answer(found: Found, uri: &Uri) -> Response {
    let for_edges = (CACHE_CONTROL, FOR_EDGES.to_owned());
    match found {
        Found::File(bytes, mime) => {
            let charset =
                if mime.type_() == mime_guess::mime::TEXT { "; charset=utf-8" } else { "" };
            ([for_edges, (CONTENT_TYPE, format!("{mime}{charset}"))], bytes).into_response()
        }
        Found::Folder => {
            let location = (LOCATION, format!("{}/", uri.path()));
            (StatusCode::FOUND, [for_edges, location]).into_response()
        }
        Found::TooLarge => {
            let text = format!("the demo serves files of at most {FILE_BYTES_MAX} bytes\n");
            (StatusCode::NOT_IMPLEMENTED, [(CACHE_CONTROL, FOR_NOBODY)], text).into_response()
        }
    }
}

fn refusal(error: &io::Error) -> Response {
    let (status, kept) = match error.kind() {
        // Kept too: whoever makes the file purges its absence.
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => {
            (StatusCode::NOT_FOUND, FOR_EDGES)
        }
        ErrorKind::PermissionDenied => (StatusCode::FORBIDDEN, FOR_NOBODY),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, FOR_NOBODY),
    };
    (status, [(CACHE_CONTROL, kept)], format!("{error}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let around = tempfile::tempdir().unwrap();
        let site = around.path().join("site");
        fs::create_dir_all(site.join("blog")).unwrap();
        fs::write(around.path().join("secret"), "secret").unwrap();
        for (file, text) in [("index.html", "home"), ("blog/index.html", "blog"), ("a b.txt", "a")]
        {
            fs::write(site.join(file), text).unwrap();
        }
        fs::write(site.join(".hidden"), "hidden").unwrap();
        symlink(around.path().join("secret"), site.join("link")).unwrap();
        symlink(around.path(), site.join("up")).unwrap();
        symlink("index.html", site.join("inner")).unwrap();
        fs::create_dir(site.join("linked")).unwrap();
        symlink("../../secret", site.join("linked/index.html")).unwrap();
        let folder = Folder::open(&site).unwrap();
        (around, folder)
    }

    fn text(found: io::Result<Found>) -> Option<(String, String)> {
        match found {
            Ok(Found::File(bytes, mime)) => {
                Some((String::from_utf8(bytes).unwrap(), mime.to_string()))
            }
            _ => None,
        }
    }

    #[test]
    fn files_have_their_paths_and_types_and_an_index_that_of_its_folder() {
        let (_around, folder) = folder();
        for (path, expected, kind) in [
            ("/", "home", "text/html"),
            ("/index.html", "home", "text/html"),
            ("/blog/", "blog", "text/html"),
            ("/a%20b.txt", "a", "text/plain"),
        ] {
            let found = text(folder.find(path));
            assert_eq!(found, Some((expected.to_owned(), kind.to_owned())), "{path}");
        }
        assert!(matches!(folder.find("/blog"), Ok(Found::Folder)), "its links need the slash");
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        let (_around, folder) = folder();
        for path in [
            "/../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "//etc/passwd",
            "/%2fetc/passwd",
            "/blog/../../secret",
            "/link",
            "/up/secret",
            "/inner",
            "/linked/",
            "/.hidden",
            "/index.html/",
            "/index.html%00",
            "",
            "secret",
        ] {
            let found = folder.find(path);
            assert!(found.is_err(), "{path}: {found:?}");
        }
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_held_in_memory() {
        let (_around, folder) = folder();
        let file = File::create(folder.root().join("large")).unwrap();
        file.set_len(FILE_BYTES_MAX).unwrap();
        assert!(matches!(folder.find("/large"), Ok(Found::File(..))));
        file.set_len(FILE_BYTES_MAX + 1).unwrap();
        assert!(matches!(folder.find("/large"), Ok(Found::TooLarge)));
    }

    #[test]
    fn what_may_not_be_read_is_said_and_not_kept() {
        let refused = refusal(&ErrorKind::PermissionDenied.into());
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert_eq!(refused.headers()[CACHE_CONTROL], FOR_NOBODY);
        assert_eq!(refusal(&ErrorKind::NotFound.into()).headers()[CACHE_CONTROL], FOR_EDGES);
    }
}
