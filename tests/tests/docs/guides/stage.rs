//! A web site with the code of a guide, a real Varnish before it, and a real publisher that it tells.

use std::fs;
use std::path::Path;

use reqwest::Client;
use serde_json::Value;
use tests::eventually;
use tests::serve::{Serve, Settings};
use tests::servers::Server;
use tests::servers::varnish::{Varnish, shipped_vcl};

use super::files::write_files;
use super::stumbling::{Stumbling, TOKEN};

/// All of it; dead and gone when dropped.
pub(super) struct Stage {
    site: Server,
    varnish: Varnish,
    serve: Serve,
    way: Stumbling,
    http: Client,
}

impl Stage {
    /// The files of `guide` and the tests' own `script`, run by the command that `command` makes for a port.
    pub(super) async fn start(
        guide: &str,
        script: (&str, &str),
        command: impl Fn(String) -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        let way = Stumbling::start().await;
        let surroundings = vec![
            format!("PURGEBUS_URL={}", way.url()),
            format!("PURGEBUS_TOKEN={TOKEN}"),
            "PYTHONDONTWRITEBYTECODE=1".to_owned(),
        ];
        let prepare = |folder: &Path| {
            write_files(guide, folder);
            fs::write(folder.join(script.0), script.1).expect("written");
        };
        let arguments =
            move |_: &Path, port: u16| [surroundings.clone(), command(port.to_string())].concat();
        let site = Server::start("env", prepare, arguments).await;
        let vcl = fs::canonicalize(shipped_vcl()).expect("it is shipped");
        let varnish =
            Varnish::start(site.address(), &format!("include \"{}\";\n", vcl.display())).await;
        let settings = Settings::default().varnish(varnish.address(), "rebounds = []");
        let serve = Serve::start_ready(settings).await;
        way.leads_to(serve.api().address());
        Self { site, varnish, serve, way, http: Client::new() }
    }

    /// What an editor does at the site itself; answers how many purges were not accepted yet.
    pub(super) async fn act(&self, action: &str, wish: Value) -> u64 {
        let request = self.http.post(format!("http://{}/{action}", self.site.address()));
        let answer = request.json(&wish).send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("text");
        assert!(status.is_success(), "{action} {wish}: {status} {text}\n{}", self.site.log_tail());
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["waiting"].as_u64().expect("a number")
    }

    /// The same, with nothing left to be accepted, and everything purged.
    pub(super) async fn acts(&self, action: &str, wish: Value) {
        assert_eq!(self.act(action, wish).await, 0, "{}", self.site.log_tail());
        let purged = async || {
            let listed = self.invalidations().await;
            listed.iter().all(|listed| listed["state"] == "final")
        };
        eventually("all that was published is purged", purged).await;
    }

    /// Whether `action` takes a page out of the cache that shows the same before and after.
    pub(super) async fn renews(&self, path: &str, action: &str, wish: Value) -> bool {
        let before = self.page(path).await;
        self.acts(action, wish).await;
        let after = self.page(path).await;
        assert_eq!(shown(&before.1), shown(&after.1));
        before != after
    }

    /// How many purges were accepted.
    pub(super) async fn published(&self) -> usize {
        self.invalidations().await.len()
    }

    async fn invalidations(&self) -> Vec<Value> {
        let list = self.serve.api().get::<Value>("/v1/invalidations?limit=200").await;
        list.expect("a list")["items"].as_array().expect("items").clone()
    }

    /// What a page shows that is now in Varnish, if it was not before.
    pub(super) async fn cached(&self, path: &str) -> String {
        let (first, again) = (self.page(path).await, self.page(path).await);
        assert_eq!(first, again, "{path} is cached");
        assert_eq!(first.0, 200, "{path}: {}", first.1);
        shown(&first.1).to_owned()
    }

    /// The status of a page, from Varnish.
    pub(super) async fn status(&self, path: &str) -> u16 {
        self.page(path).await.0
    }

    async fn page(&self, path: &str) -> (u16, String) {
        let request = self.http.get(format!("http://{}{path}", self.varnish.address()));
        let answer = request.header("host", "www.example.com").send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("text"))
    }

    pub(super) fn lose_the_publisher(&mut self) {
        self.serve.kill();
    }

    /// Answers how many purges it had accepted.
    pub(super) async fn find_the_publisher(&mut self) -> usize {
        self.serve.restart().await;
        self.serve.ready().await;
        self.published().await
    }

    /// What every request had: the token, and a key that stayed the same until it was accepted.
    pub(super) fn each_was_repeated_once_under_its_key(&self) {
        assert!(self.way.every_token_came());
        let keys = self.way.keys();
        assert!(keys.len() > 5, "{keys:?}");
        for key in keys {
            let answers = self.way.answers_to(&key);
            assert_eq!(
                (answers[0], *answers.last().expect("one")),
                (503, 202),
                "{key}: {answers:?}"
            );
            assert_eq!(answers.iter().filter(|status| **status == 202).count(), 1, "{answers:?}");
        }
    }
}

/// A page without how often any was rendered.
fn shown(page: &str) -> &str {
    page.split_once(": ").map_or(page, |(_, shown)| shown)
}
