//! A writer whose folder goes away under it.

use std::fs;
use std::path::Path;

use daemon::Clock;
use tokio::time::advance;

use super::*;
use crate::samples;

/// All that is written.
fn text(folder: &Path) -> String {
    let mut text = String::new();
    for file in fs::read_dir(folder).unwrap() {
        text += &fs::read_to_string(file.unwrap().path()).unwrap();
    }
    text
}

#[tokio::test(start_paused = true)]
async fn lines_that_are_lost_are_counted_until_a_line_that_says_so_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trail");
    let clock = Clock::following("2026-03-01T12:00:00Z".parse().unwrap());
    let (_trail, mut writer) = samples::trail(&path, clock).await;
    writer.queue.recv_many(&mut writer.group, GROUP_MAX).await;
    writer.write().await.unwrap();
    writer.tick(2).await.unwrap();
    assert!(text(&path).contains("\"what\":\"began\""));

    // Another day begins another file, for which there is no folder.
    fs::remove_dir_all(&path).unwrap();
    advance(Duration::from_hours(24)).await;
    let lost = Arc::clone(&writer.shared);
    lost.lost.store(3, Ordering::Relaxed);
    writer.write().await.unwrap();
    assert!(!lost.works.load(Ordering::Relaxed));

    fs::create_dir(&path).unwrap();
    writer.tick(3).await.unwrap();
    assert!(lost.works.load(Ordering::Relaxed));
    let text = text(&path);
    assert_eq!(text.matches("\"what\":\"gap\",\"lost\":3").count(), 1, "{text}");
}
