//! The page at `/`, for people: put together from the files in `page/` into one response that asks for nothing else.
//!
//! Its style and its script stand in it, and the Content-Security-Policy names the two by their hashes: nothing else
//! can run, whatever somebody gets into the page.

use std::sync::{Arc, LazyLock};

use axum::http::header::{CONTENT_SECURITY_POLICY, HOST, VARY};
use axum::http::{HeaderMap, HeaderValue, Version};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::protocol::handshake::{HTTP_1_1_NEEDED, invitation};

use super::accept::prefers_html;
use super::behaviours::listing::escaped;
use super::welcome::Welcome;

const DOCUMENT: &str = include_str!("page/index.html");

/// The style of this page and of whatever else is there for people. It stands in a `<style>`, and a policy lets it by
/// its [`source`].
pub(super) const STYLE: &str = include_str!("page/style.css");

/// The parts of the script. They share one scope, that of a module, and `start.js` comes last: what it calls has to be
/// there.
const SCRIPT: [&str; 14] = [
    include_str!("page/dom.js"),
    include_str!("page/bytes.js"),
    include_str!("page/transcript.js"),
    include_str!("page/echoes.js"),
    include_str!("page/closing.js"),
    include_str!("page/conversation.js"),
    include_str!("page/compose.js"),
    include_str!("page/line.js"),
    include_str!("page/frames.js"),
    include_str!("page/plot.js"),
    include_str!("page/load.js"),
    include_str!("page/behaviours.js"),
    include_str!("page/socketio.js"),
    include_str!("page/code.js"),
];
const START: &str = include_str!("page/start.js");

/// What the page has of everybody's, beside the document.
struct Page {
    script: String,
    policy: HeaderValue,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let script = SCRIPT.concat() + START;
    Page {
        policy: policy(&script, STYLE),
        script,
    }
});

/// What the page may do: run this script, wear this style, and open sockets.
///
/// `ws:` and `wss:` are any host's, since the page is for trying servers, and whoever uses it types the address. `'self'`
/// is for the list of behaviours; before version 15.4 it meant no WebSocket in Safari. The icon is a `data:` address. No
/// text is ever taken for markup (`trusted-types`).
fn policy(script: &str, style: &str) -> HeaderValue {
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self' ws: wss:; \
        base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        source(script),
        source(style)
    );
    HeaderValue::try_from(policy).expect("base64 and words in ASCII")
}

/// What names `text` in a policy: a script or a style that stands in the page itself.
pub(super) fn source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// What this is and how to reach it, for people and for programs.
pub(super) async fn front(
    welcome: Arc<Welcome>,
    version: Version,
    headers: HeaderMap,
    over_tls: bool,
) -> Response {
    let invitation = invitation(headers.get(HOST).map(|host| host.as_bytes()), over_tls);
    let is_too_old = version < Version::HTTP_11;
    let note = if is_too_old { HTTP_1_1_NEEDED } else { "" };
    let vary = (VARY, HeaderValue::from_static("Accept"));
    let fields = [vary, (CONTENT_SECURITY_POLICY, PAGE.policy.clone())];
    if prefers_html(&headers) {
        (fields, Html(filled_in(&welcome.what, &invitation, note))).into_response()
    } else {
        let note = if is_too_old {
            format!("{note}\n")
        } else {
            String::new()
        };
        let Welcome { what, beside } = &*welcome;
        let text = format!("{what}\n{invitation}{note}On the same port there is:\n{beside}");
        (fields, text).into_response()
    }
}

/// The page for one request. The script comes last: what looks like a place in it is none.
fn filled_in(what: &str, invitation: &str, note: &str) -> String {
    let note = match note {
        "" => String::new(),
        note => format!("<p class=\"note\">{note}</p>\n"),
    };
    let (document, rest) = DOCUMENT.split_once("{script}").unwrap_or((DOCUMENT, ""));
    let [document, rest] = [document, rest].map(|part| {
        part.replace("{style}", STYLE)
            .replace("{invitation}", invitation)
            .replace("{note}\n", &note)
            .replace("{what}", &escaped(what))
    });
    [&document, PAGE.script.as_str(), &rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands between two marks, each of which is there once.
    fn between<'text>(text: &'text str, open: &str, close: &str) -> &'text str {
        let (_, rest) = text.split_once(open).expect(open);
        assert!(!rest.contains(open), "{open} is there twice");
        let (inner, rest) = rest.split_once(close).expect(close);
        assert!(!rest.contains(close), "{close} is there twice");
        inner
    }

    #[test]
    fn the_policy_names_the_script_and_the_style_that_are_sent() {
        let page = filled_in("", "", "");
        for (name, open, close) in [
            ("script-src", "<script type=\"module\">", "</script>"),
            ("style-src", "<style>", "</style>"),
        ] {
            let hash = STANDARD.encode(Sha256::digest(between(&page, open, close)));
            let expected = format!("{name} 'sha256-{hash}';");
            let policy = PAGE.policy.to_str().unwrap();
            assert!(policy.contains(&expected), "{policy}");
        }
    }

    #[test]
    fn the_page_holds_nothing_that_the_policy_forbids() {
        let page = filled_in("", "", "");
        let markup = page
            .replace(between(&page, "<style>", "</style>"), "")
            .replace(between(&page, "<script type=\"module\">", "</script>"), "");
        for forbidden in [" style=", " src=", " onclick=", "javascript:", "@import"] {
            assert!(!markup.contains(forbidden), "{forbidden}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    #[test]
    fn every_place_is_filled_in_once() {
        let page = filled_in("WHAT & {script}", "HOW", "WHY");
        for place in ["{style}", "{script}", "{what}", "{invitation}", "{note}"] {
            assert_eq!(DOCUMENT.matches(place).count(), 1, "{place}");
            let is_said = place == "{script}";
            assert_eq!(page.contains(place), is_said, "{place}");
        }
        for text in [
            "<p>WHAT &amp; {script}</p>",
            "<code>HOW</code>",
            "<p class=\"note\">WHY</p>",
        ] {
            assert_eq!(page.matches(text).count(), 1, "{text}");
        }
    }
}
