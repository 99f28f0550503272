//! Lists over two publishers: each shows what the other accepted, in one order. Paused time.

use schemas::api::{Event, InvalidationSummary};

use super::*;
use crate::handle::ListRequest;

async fn page(
    publisher: &Running,
    filter: Filter,
    limit: usize,
    before: Option<Uuid>,
) -> (Vec<InvalidationSummary>, Option<Uuid>) {
    publisher.handle.list(ListRequest { filter, limit, before }).await.unwrap()
}

fn ids(rows: &[InvalidationSummary]) -> Vec<Uuid> {
    rows.iter().map(|row| row.facts.id).collect()
}

#[tokio::test(start_paused = true)]
async fn each_publisher_lists_what_all_accepted_newest_first() {
    let clock = clock();
    let log = Arc::new(log(clock));
    let (p1, p2) = (
        Running::start("p1", clock, Arc::clone(&log) as Arc<dyn Broker>).await,
        Running::start("p2", clock, Arc::clone(&log) as Arc<dyn Broker>).await,
    );
    let mut published = Vec::new();
    for round in 0..12 {
        let chosen = if round % 3 == 0 { &p2 } else { &p1 };
        published.push(chosen.accept().await.id);
        sleep(Duration::from_secs(20)).await;
    }
    published.reverse();
    for asked in [&p1, &p2] {
        let (rows, next) = page(asked, Filter::default(), 50, None).await;
        assert_eq!((ids(&rows), next), (published.clone(), None));
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let (rows, next) = page(asked, Filter::default(), 5, before).await;
            assert!(rows.len() <= 5);
            seen.extend(ids(&rows));
            before = next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(seen, published);
    }
    let since = clock.now().checked_sub(SignedDuration::from_secs(90)).unwrap();
    let late = Filter { since: Some(since), ..Filter::default() };
    assert_eq!(ids(&page(&p2, late, 50, None).await.0), published[..4]);
    let early = Filter { until: Some(since), ..Filter::default() };
    assert_eq!(ids(&page(&p2, early, 50, None).await.0), published[4..]);
    p1.end().await;
    p2.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_tells_what_another_has_accepted_as_it_happens() {
    let clock = clock();
    let log = Arc::new(log(clock));
    let (p1, p2) = (
        Running::start("p1", clock, Arc::clone(&log) as Arc<dyn Broker>).await,
        Running::start("p2", clock, Arc::clone(&log) as Arc<dyn Broker>).await,
    );
    sleep(Duration::from_secs(2)).await;
    let mut listener = p2.handle.listen(None).unwrap();
    let accepted = p1.accept().await;
    let heard = timeout_at(Instant::now() + Duration::from_secs(5), listener.hear(64)).await;
    let heard = heard.expect("it is told").expect("the publisher runs");
    let told: Vec<_> = heard
        .iter()
        .map(|(_, event)| match event {
            Event::Published(event) => (event.id, event.site.as_str()),
            event => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(told, [(accepted.id, "main")]);
    p1.end().await;
    p2.end().await;
    assert_eq!(listener.hear(64).await, None, "it is let go");
}
