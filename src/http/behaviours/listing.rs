//! What there is at `/x`, and what would happen at a path below it: for people and for programs, all from the one
//! table.

use axum::Extension;
use axum::extract::State;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, VARY};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::behaviour::table::{self, Entry, Group, Parameter, RULES};
use crate::behaviour::{Ask, Fault, Refused, Source, whoami};
use crate::protocol::handshake::{invitation_to, path_and_query};

use super::super::accept::{Form, preferred};
use super::super::connection::Came;
use super::super::{Phase, drained};

/// The page runs nothing, loads nothing but its style, and stands in no other's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Its beginning, with a place for its title.
const BEGINNING: &str = include_str!("listing.html");

/// Its style.
const STYLE: &str = include_str!("listing.css");

/// What is at `/x`, in a sentence or two.
const WHAT: &str = "Behaviours on request: a WebSocket opened at one of these paths is answered as the path says. \
    Further ones are added in the query, by their names: /x/close/1001?after=3&delay=200ms.";

/// Answers with the style of the pages.
pub(in super::super) async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

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
        let told = whoami(&came.head, came.peer) + "\n";
        return ([(CONTENT_TYPE, "application/json")], told).into_response();
    }
    describe(&uri, &headers)
}

fn status_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST)
}

/// Answers with what a WebSocket at `uri` would be, and how to open it.
fn describe(uri: &Uri, headers: &HeaderMap) -> Response {
    let target = uri.path_and_query().map_or(table::PATH, |it| it.as_str());
    let target = quotable(target);
    let entries: Vec<_> = asked(uri).collect();
    let invitation = invitation_to(headers.get(HOST).map(|host| host.as_bytes()), &target);
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
            let invitation = escaped(&invitation);
            let page = format!(
                "<p>A WebSocket opened here is answered so:</p>\n<dl>\n{entries}</dl>\n\
                <h2>How to open it</h2>\n<pre><code>{invitation}</code></pre>\n\
                <p><a href=\"/x\">All there is</a></p>\n"
            );
            html(&escaped(&target), &page)
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
                page += &format!("      {}\n", told(parameter));
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
    let mut page = format!("<p>{}</p>\n", escaped(WHAT));
    for group in Group::ALL {
        let entries: String = group.entries().map(entry_as_html).collect();
        page += &format!("<h2>{group}</h2>\n<dl>\n{entries}</dl>\n");
    }
    page += "<h2>Not together</h2>\n<ul>\n";
    for rule in &RULES {
        let because = escaped(rule.because);
        page += &format!("<li>{}: {because}</li>\n", rule.names.join(", "));
    }
    page + "</ul>\n"
}

fn entry_as_html(entry: &Entry) -> String {
    let (written, does) = (escaped(&entry.written()), escaped(entry.does));
    let mut page = format!("<dt><code>{written}</code></dt>\n<dd>{does}\n");
    if !entry.parameters.is_empty() {
        page += "<ul>\n";
        for parameter in entry.parameters {
            page += &format!("<li>{}</li>\n", escaped(&told(parameter)));
        }
        page += "</ul>\n";
    }
    for example in entry.examples {
        let example = escaped(example);
        page += &format!("<a href=\"{example}\"><code>{example}</code></a>\n");
    }
    page + "</dd>\n"
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

/// A parameter, in a line.
fn told(parameter: &Parameter) -> String {
    let default = match parameter.default {
        None => String::new(),
        Some("") => " (without it: empty)".to_owned(),
        Some(default) => format!(" (without it: {default})"),
    };
    format!(
        "{}: {}; {}{default}",
        parameter.name, parameter.kind, parameter.does
    )
}

fn text(page: String) -> Response {
    ([(VARY, "Accept")], page).into_response()
}

fn html(title: &str, content: &str) -> Response {
    let page = BEGINNING.replace("{title}", title) + content + "</main>\n</body>\n</html>\n";
    let fields = [(VARY, "Accept"), (CONTENT_SECURITY_POLICY, POLICY)];
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
