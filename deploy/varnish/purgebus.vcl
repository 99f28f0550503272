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
#     t:HOST/TAG          the tags that the origin names
#
# A request `PURGE` with `X-Purgebus-Hard: KEY KEY ...` removes objects, with `X-Purgebus-Soft` it makes them stale.
# With `X-Purgebus-Fence: HOST` it raises the fence of a host: what is being fetched for it at this moment is delivered,
# but not kept, for it may be older than the purge. Ours are the answers with `X-Purgebus`. A PURGE without these headers
# is left to your own VCL.

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

# Where the origin names the tags of a page, separated by spaces or commas: take out or add headers as you need, in both.
sub purgebus_read_tags {
	std.collect(beresp.http.Surrogate-Key, " ");
	std.collect(beresp.http.Cache-Tag, " ");
	std.collect(beresp.http.X-Cache-Tags, " ");
	set beresp.http.X-Purgebus-Tags = beresp.http.Surrogate-Key + " " + beresp.http.Cache-Tag + " " +
	    beresp.http.X-Cache-Tags + " " + beresp.http.X-Purgebus-Xkey;
}

# Which of them clients do not see. Add Cache-Tag where no CDN that reads it stands before this cache.
sub purgebus_hide_tags {
	unset resp.http.Surrogate-Key;
	unset resp.http.X-Cache-Tags;
}

# How many hosts may have a fence: every fetch looks through them. What it does not take, the later passes do.
sub purgebus_limit_fences {
	if (std.integer(var.global_get("purgebus_fences"), 0) >= 100) {
		unset req.http.X-Purgebus-Fence;
	} else {
		var.global_set("purgebus_fences", "" + (std.integer(var.global_get("purgebus_fences"), 0) + 1));
	}
}

# Names this cache for as long as it lives; a reload of VCL does not end it.
sub vcl_init {
	if (!var.global_get("purgebus_cache")) {
		var.global_set("purgebus_cache", server.identity + "/" + std.random(100000000, 999999999));
	}
}

sub purgebus_recv {
	unset req.http.X-Purgebus-Count;
	unset req.http.X-Purgebus-Probe;
	if (req.method == "PURGE" &&
	    (req.http.X-Purgebus-Hard || req.http.X-Purgebus-Soft || req.http.X-Purgebus-Fence)) {
		call purgebus_authorise;
		call purgebus_raise_fence;
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

# Before the purge: what comes in between is either kept and purged, or not kept.
sub purgebus_raise_fence {
	if (req.http.X-Purgebus-Fence) {
		if (req.http.X-Purgebus-Fence !~ "^[a-z0-9.-]{1,253}(:[0-9]{1,5})?$") {
			return (synth(400, "No host"));
		}
		if (!var.global_get("purgebus_fence " + req.http.X-Purgebus-Fence)) {
			call purgebus_limit_fences;
		}
	}
	if (req.http.X-Purgebus-Fence) {
		var.global_set("purgebus_fence " + req.http.X-Purgebus-Fence, req.xid);
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
		call purgebus_spell_host;
	}
	var.set("purgebus_noted", var.global_get("purgebus_fence " + var.get("purgebus_host")));
	var.set_real("purgebus_began", std.time2real(now, 0.0));
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
		call purgebus_collect_tags;
		call purgebus_limit;
		call purgebus_fence;
	}
	if (!bereq.uncacheable && !beresp.uncacheable) {
		call purgebus_spell_url;
		# One look-ahead for each depth: what is not that deep stays empty.
		set beresp.http.xkey =
		    "s:" + var.get("purgebus_host") +
		    " u:" + var.get("purgebus_host") + var.get("purgebus_url") +
		    " q:" + var.get("purgebus_host") + regsub(var.get("purgebus_url"), "\?.*$", "") +
		    " " + regsub("p:" + var.get("purgebus_host") + regsub(var.get("purgebus_url"), "\?.*$", ""),
		    "^(?=((?:[^/]*/){2})?)(?=((?:[^/]*/){3})?)(?=((?:[^/]*/){4})?)(?=((?:[^/]*/){5})?)(?=((?:[^/]*/){6})?)(?=((?:[^/]*/){7})?)(?=((?:[^/]*/){8})?)(?=((?:[^/]*/){9})?).*$",
		    "\1 \2 \3 \4 \5 \6 \7 \8") +
		    regsuball(beresp.http.X-Purgebus-Tags, "[ ,\t]*([^ ,\t]+)",
		    " t:" + var.get("purgebus_host") + "/\1");
	}
	unset beresp.http.X-Purgebus-Tags;
}

# The origin's own xkey names tags too. A revalidated object comes with the keys that we gave it: those are none.
sub purgebus_collect_tags {
	if (beresp.http.xkey !~ "^s:[^ ]* u:") {
		std.collect(beresp.http.xkey, " ");
		set beresp.http.X-Purgebus-Xkey = beresp.http.xkey;
	}
	unset beresp.http.xkey;
	call purgebus_read_tags;
}

# What was on its way when the fence was raised may be older than the purge: it is delivered, but not kept. No time to
# live that your VCL sets later changes that; this one is short, so that requests wait for one fetch again.
sub purgebus_fence {
	if (var.global_get("purgebus_fence " + var.get("purgebus_host"))) {
		if (var.global_get("purgebus_fence " + var.get("purgebus_host")) != var.get("purgebus_noted")) {
			std.log("purgebus: not kept: a purge came while it was fetched");
			set beresp.uncacheable = true;
			set beresp.ttl = 1ms;
			set beresp.grace = 0s;
			set beresp.keep = 0s;
		}
		call purgebus_measure;
	}
}

# How long fetches of this host take: the longest, forgotten slowly. The driver asks for a fence only where purges are
# rare against it, for each fence costs the fetches that are on their way.
sub purgebus_measure {
	var.set_real("purgebus_took", std.time2real(now, 0.0) - var.get_real("purgebus_began"));
	var.set_real("purgebus_longest",
	    std.real(var.global_get("purgebus_fetch " + var.get("purgebus_host")), 0.0) * 0.98);
	if (var.get_real("purgebus_took") < var.get_real("purgebus_longest")) {
		var.set_real("purgebus_took", var.get_real("purgebus_longest"));
	}
	var.global_set("purgebus_fetch " + var.get("purgebus_host"), "" + var.get_real("purgebus_took"));
}

# An object that has no room for its keys in workspace_backend (96k) is delivered, but not kept.
sub purgebus_limit {
	if (beresp.http.X-Purgebus-Tags ~ "^[ ,\t]*+(?:[^ ,\t]++[ ,\t]++){500}[^ ,\t]" ||
	    beresp.http.X-Purgebus-Tags ~ "^.{8000}" || var.get("purgebus_asked_url") ~ "^.{2100}") {
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
	unset resp.http.X-Purgebus;
	unset resp.http.X-Purgebus-Xkey;
	unset resp.http.X-Purgebus-Cache;
	call purgebus_hide_tags;
	if (req.http.X-Purgebus-Probe) {
		set resp.http.X-Purgebus-Cache = var.global_get("purgebus_cache");
		return (deliver);
	}
}

sub purgebus_synth {
	if (req.http.X-Purgebus-Count) {
		set resp.http.X-Purgebus = "1; depth=8; soft; fence";
		set resp.http.X-Purgebus-Cache = var.global_get("purgebus_cache");
		set resp.http.X-Purgebus-Count = req.http.X-Purgebus-Count;
		if (req.http.X-Purgebus-Fence) {
			set resp.http.X-Purgebus-Fenced = var.global_get("purgebus_fetch " + req.http.X-Purgebus-Fence) + "s";
		}
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
