//! Several caches: those that are named and purged together, and those that hide behind one address.

use std::net::SocketAddr;

use agent::driver::{Batch, Fetches, Purge, PurgeError};
use schemas::{Ability, Mode, Selector};
use tests::servers::origin::Page;
use tests::servers::varnish::Varnish;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::specimen::{House, PEEK, PLAIN, driver_of, include_shipped, tag, told, url};

#[tokio::test]
async fn several_instances_are_all_purged_or_the_batch_fails() {
    let one = House::with(&include_shipped()).await;
    let mut other = House::with(&include_shipped()).await;
    let driver = driver_of(&format!(
        "urls = ['http://{}', 'http://{}']\ntimeout = '20s'",
        one.varnish.address(),
        other.varnish.address()
    ));
    let purge = |selector| Purge::new("main".parse().unwrap(), selector, Mode::Hard);
    let batch = Batch { purges: vec![purge(url("/a")), purge(tag("t"))] };
    let tagged = || Page { tags: vec!["t".into()], ..Page::default() };
    assert_eq!(driver.abilities().await.unwrap().manner, "xkey (2 instances)");
    for house in [&one, &other] {
        house.cached("/a", Page::default()).await;
        house.cached("/b", tagged()).await;
    }
    driver.purge(&batch).await.unwrap();
    for house in [&one, &other] {
        assert!(!house.holds("/a").await && !house.holds("/b").await, "{house:?}");
    }

    other.varnish.stop().await;
    one.cached("/a", Page::default()).await;
    let error = driver.purge(&batch).await.unwrap_err();
    assert!(!one.holds("/a").await, "the others do not wait for it");
    assert!(error_chain(&error).contains(&format!("at http://{}", other.varnish.address())));
    assert!(told(Err::<(), _>(error)).0, "a batch that one could not purge is repeated");
    other.varnish.restart().await;
    other.cached("/a", Page::default()).await;
    driver.purge(&batch).await.unwrap();
    assert!(!other.holds("/a").await);

    other.varnish.load(&(PEEK.to_owned() + PLAIN));
    let able = driver.abilities().await.unwrap();
    assert_eq!((able.url, able.tag), (Ability::Supported, Ability::Unsupported), "as the weakest");
    assert!(driver.purge(&batch).await.is_err(), "a tag is not passed over in silence");
}

#[tokio::test]
async fn what_lies_in_one_instance_alone_is_purged_there_and_nowhere_else() {
    let one = House::with(&include_shipped()).await;
    let other = House::with(&include_shipped()).await;
    let (this, that) = (one.varnish.address(), other.varnish.address());
    let driver = driver_of(&format!("urls = ['http://{this}', 'http://{that}']\ntimeout = '20s'"));
    let purge = |selector, part: Option<String>| {
        let part = part.map(Into::into);
        Purge { part, ..Purge::new("main".parse().unwrap(), selector, Mode::Hard) }
    };
    let all_of_other = purge(Selector::Everything, Some(format!("instance={that}")));
    for house in [&one, &other] {
        house.cached("/a", Page::default()).await;
        house.cached("/b", Page::default()).await;
    }
    let alone = Batch { purges: vec![all_of_other.clone()] };
    let fetches = driver.purge(&alone).await.unwrap();
    assert_eq!(fetches, Fetches::Fenced, "nothing is asked of the one that has nothing to purge");
    assert!(!other.holds("/a").await && !other.holds("/b").await);
    assert!(one.holds("/a").await && one.holds("/b").await);

    other.cached("/b", Page::default()).await;
    let both = Batch { purges: vec![all_of_other, purge(url("/a"), None)] };
    driver.purge(&both).await.unwrap();
    assert!(!other.holds("/b").await && !one.holds("/a").await && one.holds("/b").await);

    other.cached("/b", Page::default()).await;
    let of_nobody = purge(Selector::Everything, Some("instance=elsewhere:80".to_owned()));
    driver.purge(&Batch { purges: vec![of_nobody] }).await.unwrap();
    assert!(!one.holds("/b").await && !other.holds("/b").await, "in doubt it is everybody's");
}

#[tokio::test]
async fn caches_behind_one_address_are_found_and_named() {
    for (vcl, names) in [(include_shipped(), true), (PLAIN.to_owned(), false)] {
        let house = House::with(&vcl).await;
        let other = Varnish::start(house.origin.address(), &vcl).await;
        let balancer = Balancer::start([house.varnish.address(), other.address()]).await;
        let driver = driver_of(&format!("url = 'http://{}'", balancer.address));
        for outcome in [driver.abilities().await.map(|_| ()), driver.probe().await] {
            let (unavailable, words) = told(outcome);
            assert!(
                unavailable && words.contains("several caches answer at one address"),
                "{words}"
            );
            assert!(words.contains("urls = ["), "{words}");
            assert_eq!(words.matches('/').count() == 2, names, "{words}");
        }
    }
}

#[tokio::test]
async fn another_cache_that_comes_later_is_noticed_by_its_name() {
    let house = House::with(&include_shipped()).await;
    let other = Varnish::start(house.origin.address(), &include_shipped()).await;
    let mut balancer = Balancer::start([house.varnish.address(); 2]).await;
    let driver = driver_of(&format!("url = 'http://{}'", balancer.address));
    let batch = Batch { purges: vec![Purge::new("main".parse().unwrap(), url("/a"), Mode::Hard)] };
    driver.purge(&batch).await.unwrap();
    let address = balancer.address;
    balancer.stop().await;
    let _balancer = Balancer::start_at(address, [other.address(); 2]).await;
    let (unavailable, words) = told(driver.purge(&batch).await);
    assert!(unavailable && words.starts_with("another cache answers than before: "), "{words}");
    driver.purge(&batch).await.expect("one cache answers, if another one");
}

fn error_chain(error: &PurgeError) -> String {
    let mut chain = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        chain = format!("{chain}: {cause}");
        source = cause.source();
    }
    chain
}

/// Sends connections to two servers by turns.
struct Balancer {
    address: SocketAddr,
    server: JoinSet<()>,
}

impl Balancer {
    async fn start(targets: [SocketAddr; 2]) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), targets).await
    }

    async fn start_at(address: SocketAddr, targets: [SocketAddr; 2]) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            for target in targets.into_iter().cycle() {
                let (mut client, _) = listener.accept().await.unwrap();
                connections.spawn(async move {
                    let mut server = TcpStream::connect(target).await.unwrap();
                    // An error is one of them hanging up.
                    copy_bidirectional(&mut client, &mut server).await.ok();
                });
            }
        });
        Self { address, server }
    }

    /// Hangs up and listens no more.
    async fn stop(&mut self) {
        self.server.shutdown().await;
    }
}
