//! Who gets in, and who does not.

use tests::authority::Authority;
use tests::process::purgebus;

use super::{Said, Secured, shows, text};

/// The API wants certificates of its clients, the admin port asks for them.
const TABLES: &str = "
[publisher.tls]
certificate_file = \"~/api.pem\"
key_file = \"~/api.key\"
client_ca_file = \"~/ca.pem\"
[publisher.admin_tls]
certificate_file = \"~/api.pem\"
key_file = \"~/api.key\"
client_ca_file = \"~/ca.pem\"
client_certificates = \"asked\"
[agent.admin_tls]
certificate_file = \"~/api.pem\"
key_file = \"~/api.key\"
client_ca_file = \"~/ca.pem\"
client_certificates = \"asked\"
";

/// What `curl` ends with.
mod code {
    pub(super) const NO_HANDSHAKE: Option<i32> = Some(35);
    pub(super) const NOT_TRUSTED: Option<i32> = Some(60);
    /// The server has ended a connection that the client took for open.
    pub(super) const CUT_OFF: [Option<i32>; 2] = [Some(55), Some(56)];
}

#[tokio::test]
async fn only_whom_both_sides_trust_is_served_by_protocols_that_are_safe() {
    let secured = Secured::start(TABLES, "").await;
    let client = secured.authority.issue("cms-1");
    let stranger = Authority::new();
    let strange = stranger.issue("stranger");

    let served = secured.curl("/v1/regions", &shows(&client)).await;
    assert!(served.code == Some(0) && served.out.contains("\"items\""), "{served:?}");
    for arguments in [&[][..], &shows(&strange)] {
        let refused = secured.curl("/v1/regions", arguments).await;
        assert!(code::CUT_OFF.contains(&refused.code), "{arguments:?}: {refused:?}");
    }
    let url = format!("https://{}/v1/regions", secured.api());
    let distrusts = secured.run("curl", &["-sS", "--max-time", "20", &url]).await;
    assert_eq!(distrusts.code, code::NOT_TRUSTED, "{distrusts:?}");

    for (version, is_spoken) in [("1.0", false), ("1.1", false), ("1.2", true), ("1.3", true)] {
        // An openssl that would speak them, were it answered.
        let arguments = [
            &shows(&client)[..],
            &["--ciphers", "DEFAULT@SECLEVEL=0", "--tls-max", version],
            &["--tlsv1.0"],
        ];
        let said = secured.curl("/v1/regions", &arguments.concat()).await;
        let expected = if is_spoken { Some(0) } else { code::NO_HANDSHAKE };
        assert_eq!(said.code, expected, "TLS {version}: {said:?}");
    }
    asked_at_the_admin_port(&secured, &shows(&strange)).await;

    let plain = format!("http://{}/v1/regions", secured.api());
    let told = secured.run("curl", &["-sS", "--max-time", "20", &plain]).await;
    assert!(told.code == Some(0) && told.out.contains("this port speaks TLS"), "{told:?}");
}

async fn asked_at_the_admin_port(secured: &Secured, strange: &[&str]) {
    let url = format!("https://{}/metrics", secured.process.home().admin);
    let ca = secured.authority.ca_file();
    let ours = ["-sS", "--max-time", "20", "--cacert", text(&ca), &url];
    let metrics = secured.run("curl", &ours).await;
    for expected in [
        "purgebus_certificate_expires_seconds{port=\"publisher.listen\"}",
        "purgebus_certificate_expires_seconds{port=\"publisher.admin\"}",
        "purgebus_connections{port=\"publisher.admin\"} 1",
        "purgebus_connections_refused_total{port=\"publisher.listen\",reason=\"handshake\"}",
    ] {
        assert!(metrics.out.contains(expected), "{expected}: {metrics:?}");
    }
    let refused = secured.run("curl", &[&ours, strange].concat()).await;
    assert!(code::CUT_OFF.contains(&refused.code), "{refused:?}");
}

#[tokio::test]
async fn files_that_do_not_do_are_told_before_anything_starts() {
    let ours = Authority::new();
    let other = Authority::new();
    let good = ours.issue("good");
    let day = |days: i64| {
        let now = daemon::Clock::system().now() + jiff::SignedDuration::from_hours(24 * days);
        now.to_zoned(jiff::tz::TimeZone::UTC).date()
    };
    let ended = ours.issue_between("ended", day(-30), day(-1));
    let early = ours.issue_between("early", day(2), day(30));
    let soon = ours.issue_between("soon", day(-30), day(10));
    let strange = other.issue("strange");
    let none = ours.ca_file().with_file_name("none.pem");
    let empty = ours.ca_file().with_file_name("empty.pem");
    std::fs::write(&empty, "").expect("written");

    let certificate = "publisher.tls.certificate_file: ";
    let key = "publisher.tls.key_file: ";
    for (certificate_file, key_file, more, expected, words) in [
        (&ended.certificate_file, &ended.key_file, "", certificate, "has expired, at"),
        (&early.certificate_file, &early.key_file, "", certificate, "is good from"),
        (&empty, &good.key_file, "", certificate, "holds no certificate in PEM"),
        (&none, &good.key_file, "", certificate, "cannot read"),
        (&good.certificate_file, &strange.key_file, "", key, "does not belong to"),
        (&good.certificate_file, &good.certificate_file, "", key, "holds no private key"),
        (
            &good.certificate_file,
            &good.key_file,
            "client_certificates = \"required\"",
            "publisher.tls.client_ca_file: ",
            "is missing beside client_certificates",
        ),
    ] {
        let table =
            format!("certificate_file = {certificate_file:?}\nkey_file = {key_file:?}\n{more}\n");
        let said = check(&table).await;
        let told = said.err.lines().any(|line| line.contains(expected) && line.contains(words));
        assert!(said.code == Some(2) && told, "{words}: {said:?}");
    }
    let table =
        format!("certificate_file = {:?}\nkey_file = {:?}\n", soon.certificate_file, soon.key_file);
    let said = check(&table).await;
    assert!(said.code == Some(0) && said.out.contains("API on 127.0.0.1:8377 (TLS)"), "{said:?}");
    assert!(said.out.contains("warning: publisher.tls: the certificate in"), "{said:?}");
    let others = "warning: publisher.tls: others than its owner can read the key";
    assert!(said.out.contains(others), "{said:?}");
}

/// What `purgebus check` says of this `[publisher.tls]`.
async fn check(table: &str) -> Said {
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!(
        "[publisher]\njournal = \"journal\"\n[publisher.tls]\n{table}\n\
         [[site]]\nhosts = [\"www.example.com\"]\n[agent]\nstate = \"state\"\n\
         [[agent.cache]]\nname = \"edge\"\ndriver = \"edge\"\nurl = \"http://127.0.0.1:1\"\n"
    );
    std::fs::write(folder.path().join("purgebus.toml"), config).expect("written");
    let mut command = tokio::process::Command::from(purgebus());
    Said::of(command.args(["check", "-c", "purgebus.toml"]).current_dir(folder.path())).await
}
