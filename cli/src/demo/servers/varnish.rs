//! varnishd with the VCL that we ship, in front of what it is told.

use std::fs;
use std::path::Path;

use agent::driver::Endpoint;
use anyhow::Context;

use super::{Missing, Program, Server, log_tail};
use crate::demo::stage::HOST;

const VARNISH: Program = Program { name: "varnishd", package: "varnish varnish-modules" };
const VCL: &str = include_str!("../../../../deploy/varnish/purgebus.vcl");

/// Starts it.
pub(crate) async fn start(folder: &Path, inner: &Endpoint) -> anyhow::Result<Server> {
    let file = folder.join("demo.vcl");
    let arguments = |port: u16| {
        let vcl = format!("{}\n{VCL}", site_vcl(inner, port)?);
        fs::write(&file, vcl).with_context(|| format!("cannot write {}", file.display()))?;
        let (instance, listen) = (folder.join("varnishd"), format!("127.0.0.1:{port}"));
        Ok(vec![
            "-F".to_owned(),
            "-n".to_owned(),
            instance.display().to_string(),
            "-a".to_owned(),
            listen,
            "-T".to_owned(),
            "none".to_owned(),
            "-f".to_owned(),
            file.display().to_string(),
            "-s".to_owned(),
            "malloc,64m".to_owned(),
        ])
    };
    let started = Server::start(VARNISH, folder, arguments).await;
    started.map_err(|error| if lacks_modules(folder) { modules().into() } else { error })
}

/// Whether it can be started.
pub(crate) fn find() -> Result<(), Missing> {
    VARNISH.find().map(|_| ())
}

/// The backend, and the site's host in place of the address that a browser on this machine uses.
fn site_vcl(inner: &Endpoint, port: u16) -> anyhow::Result<String> {
    let inner = inner.to_string();
    let authority = inner.strip_prefix("http://").context("an endpoint is http://host:port")?;
    let (host, backend_port) = authority.rsplit_once(':').context("an endpoint has a port")?;
    Ok(format!(
        "vcl 4.1;\n\
         backend default {{ .host = \"{host}\"; .port = \"{backend_port}\"; }}\n\
         sub vcl_recv {{\n\
         \tif (req.http.host == \"127.0.0.1:{port}\" || req.http.host == \"localhost:{port}\") {{\n\
         \t\tset req.http.host = \"{HOST}\";\n\
         \t}}\n\
         }}\n"
    ))
}

fn lacks_modules(folder: &Path) -> bool {
    let log = log_tail(folder).to_ascii_lowercase();
    ["vmod var", "vmod xkey"].iter().any(|module| log.contains(module))
}

fn modules() -> Missing {
    let what = "varnishd lacks the modules xkey and var, which purgebus.vcl uses".to_owned();
    Missing { what, package: "varnish-modules" }
}
