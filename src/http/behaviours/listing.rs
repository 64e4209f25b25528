//! What there is at `/x`, and what would happen at a path below it: for people and for programs, all from the one
//! table.

use std::sync::LazyLock;

use axum::Extension;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::behaviour::table::{self, Entry, Group, Parameter, RULES};
use crate::behaviour::{Ask, Fault, Refused, Source, whoami};
use crate::protocol::handshake::{invitation_to, path_and_query};

use super::super::accept::{Form, preferred};
use super::super::exchange::Came;
use super::super::page::{STYLE, source};
use super::super::{Phase, drained};

/// The page runs nothing, loads nothing but its style, and stands in no other's frame.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = source(STYLE);
    let policy = format!(
        "default-src 'none'; style-src {style}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 and words in ASCII")
});

/// What all pages have, with places for the style, the title and the content.
const DOCUMENT: &str = include_str!("listing.html");

/// What is at `/x`, in a sentence or two.
const WHAT: &str = "Behaviours on request: a WebSocket opened at one of these paths is answered as the path says. \
    Further ones are added in the query, by their names: /x/close/1001?after=3&delay=200ms.";

/// The same for people, below a headline that has said the half of it.
const INTRODUCTION: &str = "<p class=\"intro\">Open a WebSocket at one of these paths to meet a server that is not always \
    quick, polite and right, and see how your client takes it. To combine them, begin with one and put the others into \
    the query, by their names: <code>/x/close/1001?after=3&amp;delay=200ms</code>. Each example leads to a page that says \
    how to open it; one about the handshake answers your browser as it would answer a client.</p>\n";

/// Answers with the list of all there is.
pub(in super::super) async fn list(headers: HeaderMap) -> Response {
    match preferred(&headers) {
        Form::Text => text(list_as_text()),
        Form::Html => html("Behaviours on request", &list_as_html()),
        Form::Json => json(&list_as_json()),
    }
}

/// Does at a path below `/x` what a WebSocket there would see before it is open, or tells what it would be.
pub(in super::super) async fn behave(
    State(mut phase): State<watch::Receiver<Phase>>,
    Extension(came): Extension<Came>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let ask = match Ask::read(path_and_query(&came.head).unwrap_or_default()) {
        Ok(ask) => ask,
        Err(Fault { status, text }) => return (status_of(status), text).into_response(),
    };
    tokio::select! {
        () = sleep(ask.slow_handshake) => {}
        () = drained(&mut phase) => {}
    }
    if let Some(refused) = Refused::of(&ask, &came.head) {
        let mut response = (status_of(refused.status), refused.text).into_response();
        for (name, value) in refused.fields {
            if let Ok(value) = value.try_into() {
                response.headers_mut().insert(name, value);
            }
        }
        return response;
    }
    if ask.source == Source::Whoami {
        let told = whoami(&came.head, came.peer, came.tls.as_ref()) + "\n";
        return ([(CONTENT_TYPE, "application/json")], told).into_response();
    }
    describe(&uri, &headers, came.is_secure())
}

fn status_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST)
}

/// Answers with what a WebSocket at `uri` would be, and how to open it.
fn describe(uri: &Uri, headers: &HeaderMap, over_tls: bool) -> Response {
    let target = uri.path_and_query().map_or(table::PATH, |it| it.as_str());
    let target = quotable(target);
    let entries: Vec<_> = asked(uri).collect();
    let invitation = invitation_to(
        headers.get(HOST).map(|host| host.as_bytes()),
        &target,
        over_tls,
    );
    match preferred(headers) {
        Form::Text => {
            let mut page = format!("A WebSocket opened at {target} is answered so:\n");
            for entry in entries {
                page += &format!("  {}: {}\n", entry.name, entry.does);
            }
            text(page + &invitation + "All there is: /x\n")
        }
        Form::Html => {
            let entries: String = entries.into_iter().map(entry_as_html).collect();
            let (title, invitation) = (escaped(&target), escaped(&invitation));
            let page = format!(
                "<section class=\"group\">\n<h1><code>{title}</code></h1>\n\
                <p class=\"intro\">A WebSocket opened here is answered so:</p>\n\
                <ul class=\"entries\">\n{entries}</ul>\n</section>\n\
                <section>\n<h2 id=\"open\">How to open it</h2>\n\
                <pre role=\"region\" aria-labelledby=\"open\" tabindex=\"0\"><code>{invitation}</code></pre>\n\
                <p><a href=\"/x\">All there is</a></p>\n</section>\n"
            );
            html(&title, &page)
        }
        Form::Json => json(&json!({
            "path": target,
            "entries": entries.into_iter().map(entry_as_json).collect::<Vec<_>>(),
            "open": invitation.lines().collect::<Vec<_>>(),
        })),
    }
}

/// The behaviours that a path and its query name.
fn asked(uri: &Uri) -> impl Iterator<Item = &'static Entry> {
    let first = uri.path().split('/').nth(2);
    let further = uri.query().unwrap_or_default().split('&');
    let further = further.filter_map(|pair| pair.split('=').next());
    first.into_iter().chain(further).filter_map(table::find)
}

/// A target that means the same, and nothing to a shell or a script that has it in quotes.
fn quotable(target: &str) -> String {
    let mut quotable = String::new();
    for byte in target.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/?@!$&()*+,;=%".contains(&byte) {
            quotable.push(char::from(byte));
        } else {
            quotable += &format!("%{byte:02X}");
        }
    }
    quotable
}

fn list_as_text() -> String {
    let mut page = format!("{WHAT}\n");
    for group in Group::ALL {
        page += &format!("\n{group}\n");
        for entry in group.entries() {
            page += &format!("  {}: {}\n", entry.written(), entry.does);
            for parameter in entry.parameters {
                page += &format!("      {}: {}\n", parameter.name, told(parameter));
            }
            page += &format!("      {}\n", entry.examples.join("  "));
        }
    }
    page += "\nNot together\n";
    for rule in &RULES {
        page += &format!("  {}: {}\n", rule.names.join(", "), rule.because);
    }
    page
}

fn list_as_html() -> String {
    let mut page = format!(
        "<section class=\"group\">\n<h1>Behaviours on request</h1>\n{INTRODUCTION}</section>\n"
    );
    for group in Group::ALL {
        let entries: String = group.entries().map(entry_as_html).collect();
        page += &format!(
            "<section>\n<h2>{group}</h2>\n<ul class=\"entries\">\n{entries}</ul>\n</section>\n"
        );
    }
    page += "<section>\n<h2>Not together</h2>\n<ul class=\"entries\">\n";
    for rule in &RULES {
        let (names, because) = (rule.names.join(", "), escaped(rule.because));
        page += &format!("<li><code class=\"syntax\">{names}</code> <span>{because}</span></li>\n");
    }
    page + "</ul>\n</section>\n"
}

fn entry_as_html(entry: &Entry) -> String {
    let (written, does) = (escaped(&entry.written()), escaped(entry.does));
    let mut page = format!(
        "<li><div>\n<p class=\"what\"><code class=\"syntax\">{written}</code> {does}</p>\n"
    );
    if !entry.parameters.is_empty() {
        page += "<ul class=\"parameters\">\n";
        for parameter in entry.parameters {
            let told = escaped(&told(parameter));
            page += &format!("<li><code>{}</code>: {told}</li>\n", parameter.name);
        }
        page += "</ul>\n";
    }
    page += "</div>\n<p class=\"examples\">\n";
    for example in entry.examples {
        let example = escaped(example);
        page += &format!("<a class=\"path\" href=\"{example}\">{example}</a>\n");
    }
    page + "</p></li>\n"
}

fn list_as_json() -> Value {
    let groups = Group::ALL.map(|group| {
        json!({
            "name": group.to_string(),
            "entries": group.entries().map(entry_as_json).collect::<Vec<_>>(),
        })
    });
    let rules: Vec<_> = RULES
        .iter()
        .map(|rule| json!({ "names": rule.names, "because": rule.because }))
        .collect();
    json!({ "what": WHAT, "groups": groups, "notTogether": rules })
}

fn entry_as_json(entry: &Entry) -> Value {
    let parameters: Vec<_> = entry
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "name": parameter.name,
                "is": parameter.kind.to_string(),
                "default": parameter.default,
                "does": parameter.does,
            })
        })
        .collect();
    json!({
        "name": entry.name,
        "syntax": entry.written(),
        "what": entry.does,
        "parameters": parameters,
        "examples": entry.examples,
        "overHttp": entry.is_over_http,
    })
}

/// A parameter, in a line behind its name.
fn told(parameter: &Parameter) -> String {
    let default = match parameter.default {
        None => String::new(),
        Some("") => " (without it: empty)".to_owned(),
        Some(default) => format!(" (without it: {default})"),
    };
    format!("{}; {}{default}", parameter.kind, parameter.does)
}

fn text(page: String) -> Response {
    ([(VARY, "Accept")], page).into_response()
}

fn html(title: &str, content: &str) -> Response {
    let page = DOCUMENT
        .replace("{style}", STYLE)
        .replace("{title}", title)
        .replace("{content}", content);
    let vary = (VARY, HeaderValue::from_static("Accept"));
    let fields = [vary, (CONTENT_SECURITY_POLICY, POLICY.clone())];
    (fields, Html(page)).into_response()
}

fn json(value: &Value) -> Response {
    let fields = [(VARY, "Accept"), (CONTENT_TYPE, "application/json")];
    (fields, format!("{value}\n")).into_response()
}

/// A text as HTML has it.
pub(in crate::http) fn escaped(text: &str) -> String {
    let replaced = |character: char| match character {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(replaced).collect()
}
