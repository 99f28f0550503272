# Purgebus for Varnish 7.1 and later with varnish-modules (xkey, var).
#
# Include this file in your VCL before your own subroutines:
#
#     vcl 4.1;
#     include "/etc/varnish/purgebus.vcl";
#
# Every object gets keys, and a purge names keys: never a ban, never a regular expression from input.
#
#     s:HOST              all of a host
#     u:HOST/PATH?QUERY   one url
#     q:HOST/PATH         one path with any query
#     p:HOST/PATH/        all below a path: the first 8 segments (a deeper prefix purges at the 8th)
#     t:HOST/TAG          the origin's Surrogate-Key, separated by spaces or commas
#
# A request `PURGE` with `X-Purgebus-Hard: KEY KEY ...` removes objects, with `X-Purgebus-Soft` it makes them stale.
# Ours are the answers with `X-Purgebus`. A PURGE without these headers is left to your own VCL.

vcl 4.1;

import blob;
import std;
import var;
import xkey;

# Who may purge. To let an agent on another machine purge this cache, add its address here.
acl purgebus_allowed {
	"127.0.0.0"/8;
	"::1";
}

sub purgebus_recv {
	unset req.http.X-Purgebus-Count;
	unset req.http.X-Purgebus-Probe;
	if (req.method == "PURGE" && (req.http.X-Purgebus-Hard || req.http.X-Purgebus-Soft)) {
		call purgebus_authorise;
		set req.http.X-Purgebus-Count =
		    xkey.purge(req.http.X-Purgebus-Hard) + xkey.softpurge(req.http.X-Purgebus-Soft);
		return (synth(200, "Purged"));
	}
	# The driver's own object, by which it proves that a purge purges; the origin never hears of it.
	if ((req.method == "GET" || req.method == "HEAD") && req.url ~ "^/\.well-known/purgebus-probe/[0-9a-f/-]+$" &&
	    req.http.X-Purgebus == "probe") {
		call purgebus_authorise;
		set req.http.X-Purgebus-Probe = "1";
		return (hash);
	}
}

sub purgebus_authorise {
	# A proxy on this machine makes the whole world local: whoever came through one is not.
	# (Varnish itself writes X-Forwarded-For, with the one address of whoever connected.)
	if (client.ip !~ purgebus_allowed || req.http.X-Forwarded-For ~ "," ||
	    req.http.Forwarded || req.http.Via || req.http.X-Real-IP) {
		return (synth(403, "Not allowed to purge"));
	}
}

# An object stored before this file was loaded has no keys, so no purge reaches it.
sub purgebus_hit {
	if (obj.http.xkey !~ "^s:") {
		return (pass);
	}
}

# The address as the cache knows it, before your VCL rewrites it for the backend.
sub purgebus_backend_fetch {
	if (bereq.retries == 0) {
		var.set("purgebus_asked_host", bereq.http.host);
		var.set("purgebus_asked_url", bereq.url);
	}
	if (bereq.http.X-Purgebus-Probe) {
		return (error(200, "Probe"));
	}
}

sub purgebus_backend_response {
	call purgebus_key;
}

sub purgebus_backend_error {
	call purgebus_key;
	if (bereq.http.X-Purgebus-Probe) {
		set beresp.ttl = 60s;
		set beresp.grace = 0s;
		set beresp.keep = 0s;
		return (deliver);
	}
}

# Sets the object's keys. Only here: an origin cannot choose keys of its own.
sub purgebus_key {
	unset beresp.http.X-HashTwo;
	if (!bereq.uncacheable) {
		call purgebus_limit;
	}
	if (!bereq.uncacheable && !beresp.uncacheable) {
		call purgebus_spell_host;
		call purgebus_spell_url;
		# One look-ahead for each depth: what is not that deep stays empty.
		set beresp.http.xkey =
		    "s:" + var.get("purgebus_host") +
		    " u:" + var.get("purgebus_host") + var.get("purgebus_url") +
		    " q:" + var.get("purgebus_host") + regsub(var.get("purgebus_url"), "\?.*$", "") +
		    " " + regsub("p:" + var.get("purgebus_host") + regsub(var.get("purgebus_url"), "\?.*$", ""),
		    "^(?=((?:[^/]*/){2})?)(?=((?:[^/]*/){3})?)(?=((?:[^/]*/){4})?)(?=((?:[^/]*/){5})?)(?=((?:[^/]*/){6})?)(?=((?:[^/]*/){7})?)(?=((?:[^/]*/){8})?)(?=((?:[^/]*/){9})?).*$",
		    "\1 \2 \3 \4 \5 \6 \7 \8") +
		    regsuball(beresp.http.Surrogate-Key, "[ ,\t]*([^ ,\t]+)",
		    " t:" + var.get("purgebus_host") + "/\1");
	}
}

# An object that has no room for its keys in workspace_backend (96k) is delivered, but not kept.
sub purgebus_limit {
	std.collect(beresp.http.Surrogate-Key, " ");
	if (beresp.http.Surrogate-Key ~ "^[ ,\t]*+(?:[^ ,\t]++[ ,\t]++){500}[^ ,\t]" ||
	    beresp.http.Surrogate-Key ~ "^.{8000}" || var.get("purgebus_asked_url") ~ "^.{2100}") {
		std.log("purgebus: not kept: more than 500 tags, 8,000 bytes of tags or 2,100 bytes of url");
		set beresp.uncacheable = true;
		set beresp.ttl = 120s;
	}
}

# Lower case, without default port and last dot. A host that no purge can name becomes "-".
sub purgebus_spell_host {
	var.set("purgebus_host", regsub(std.tolower(var.get("purgebus_asked_host")), "\.?(?::(?:80|443))?$", ""));
	if (var.get("purgebus_host") !~ "^[a-z0-9.-]{1,253}(:[0-9]{1,5})?$") {
		var.set("purgebus_host", "-");
	}
}

# The one spelling of an address that purges use (schemas/src/url): what needs no percent-encoding is decoded, what
# needs it is encoded, hexadecimal digits are upper-case. Commas separate keys: they become "%_", which no address
# holds, for a "%" without two digits is spelled "%25" first.
sub purgebus_spell_url {
	var.set("purgebus_url", var.get("purgebus_asked_url"));
	if (var.get("purgebus_url") ~ "%") {
		# A lone "%" is spelled "%25"; then what shall stay encoded is encoded once more, and all is decoded once.
		var.set("purgebus_url", blob.transcode(decoding=URL, encoding=IDENTITY, encoded=
		    regsuball(regsuball(var.get("purgebus_url"), "%(?![0-9A-Fa-f]{2})", "%25"),
		    "%(?!2[DEde]|3[0-9]|4[1-9A-Fa-f]|5[0-9AFaf]|6[1-9A-Fa-f]|7[0-9AEae])", "%25")));
		if (var.get("purgebus_url") ~ "%[0-9A-F]?[a-f]") {
			var.set("purgebus_url",
			    regsuball(regsuball(regsuball(regsuball(regsuball(regsuball(var.get("purgebus_url"),
			    "(?<=%)a|(?<=%[0-9A-Fa-f])a", "A"), "(?<=%)b|(?<=%[0-9A-Fa-f])b", "B"),
			    "(?<=%)c|(?<=%[0-9A-Fa-f])c", "C"), "(?<=%)d|(?<=%[0-9A-Fa-f])d", "D"),
			    "(?<=%)e|(?<=%[0-9A-Fa-f])e", "E"), "(?<=%)f|(?<=%[0-9A-Fa-f])f", "F"));
		}
	}
	if (var.get("purgebus_url") ~ {"["<>`{}^]"}) {
		var.set("purgebus_url", regsuball(regsuball(regsuball(var.get("purgebus_url"),
		    {"""}, "%22"), "<", "%3C"), ">", "%3E"));
		# These four stay as they are in a query.
		var.set("purgebus_url", regsuball(regsuball(regsuball(regsuball(var.get("purgebus_url"),
		    "\?.*(*SKIP)(*FAIL)|`", "%60"), "\?.*(*SKIP)(*FAIL)|\{", "%7B"),
		    "\?.*(*SKIP)(*FAIL)|\}", "%7D"), "\?.*(*SKIP)(*FAIL)|\^", "%5E"));
	}
	# No purge names more than 2,048 bytes: cut what is longer, so that it does not overflow the workspace.
	var.set("purgebus_url", regsuball(regsub(var.get("purgebus_url"), "^(.{2100}).*$", "\1"), ",", "%_"));
}

# What only caches need does not leave the house.
sub purgebus_deliver {
	unset resp.http.xkey;
	unset resp.http.Surrogate-Key;
	unset resp.http.X-Purgebus;
	if (req.http.X-Purgebus-Probe) {
		return (deliver);
	}
}

sub purgebus_synth {
	if (req.http.X-Purgebus-Count) {
		set resp.http.X-Purgebus = "1; depth=8; soft";
		set resp.http.X-Purgebus-Count = req.http.X-Purgebus-Count;
		set resp.body = "";
		return (deliver);
	}
}

sub vcl_recv { call purgebus_recv; }
sub vcl_hit { call purgebus_hit; }
sub vcl_backend_fetch { call purgebus_backend_fetch; }
sub vcl_backend_response { call purgebus_backend_response; }
sub vcl_backend_error { call purgebus_backend_error; }
sub vcl_deliver { call purgebus_deliver; }
sub vcl_synth { call purgebus_synth; }
