//! Who is asked by a person in a browser, and who by a program.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// A form in which something is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Html,
    Json,
}

/// The form that is liked best (RFC 9110, section 12.5.1), or else plain text. Browsers name HTML; curl, which takes
/// anything, names none. Who names JSON among others is a program that reads it.
pub(super) fn preferred(headers: &HeaderMap) -> Form {
    let text = liking(headers, "text/*", "text/plain");
    let html = liking(headers, "text/*", "text/html");
    let json = liking(headers, "application/*", "application/json");
    if html > text && html >= json {
        Form::Html
    } else if json > text || (json == text && json.closeness == NAMED) {
        Form::Json
    } else {
        Form::Text
    }
}

/// Whether HTML is liked better than plain text.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    let quality = |media_type| liking(headers, "text/*", media_type).quality;
    quality("text/html") > quality("text/plain")
}

/// How much a media type is liked.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
struct Liking {
    quality: f32,
    /// How closely it was named.
    closeness: usize,
}

/// The closeness of what was named itself.
const NAMED: usize = 2;

/// How much `media_type`, one of `kind`, is liked: what the range says that matches it most closely. What cannot be
/// read is passed over.
fn liking(headers: &HeaderMap, kind: &str, media_type: &str) -> Liking {
    let ranges = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let matching = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?;
        let closeness = ["*/*", kind, media_type]
            .iter()
            .position(|known| name.eq_ignore_ascii_case(known))?;
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.eq_ignore_ascii_case("q").then_some(value)
        });
        let quality = weight.map_or(Some(1.0), |value| value.parse().ok())?;
        Some(Liking { quality, closeness })
    });
    matching
        .max_by_key(|liking| liking.closeness)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_html_and_everyone_else_text() {
        for (accept, expected) in [
            (&[][..], false),
            (&["*/*"], false),
            (&["text/*"], false),
            (&["text/html"], true),
            (&["text/html, text/plain"], false),
            (&["text/html;q=0"], false),
            (&["text/plain;q=0.5, TEXT/HTML;level=1; Q=0.6"], true),
            (&["text/plain", "text/html;q=0.9"], false),
            (&["text/*;q=0.3", "text/html"], true),
            (&["application/json"], false),
            (&["text/html;q=lots"], false),
            (
                &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
                true,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT, value.parse().unwrap());
            }
            assert_eq!(prefers_html(&headers), expected, "{accept:?}");
        }
    }
    #[test]
    fn what_is_named_is_liked_better_than_what_is_only_taken() {
        for (accept, expected) in [
            ("*/*", Form::Text),
            ("application/json", Form::Json),
            ("application/json, text/plain, */*", Form::Json),
            ("application/*, text/*;q=0.5", Form::Json),
            ("application/json, text/html;q=0.9", Form::Json),
            ("text/html, application/json", Form::Html),
            ("application/json, */*;q=0.1", Form::Json),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                Form::Html,
            ),
            ("image/png", Form::Text),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            assert_eq!(preferred(&headers), expected, "{accept}");
        }
    }
}
