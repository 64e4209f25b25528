//! Who is asked by a person in a browser, and who by a program.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Whether HTML is liked better than plain text (RFC 9110, section 12.5.1). Browsers name it; curl, which
/// takes anything, does not.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    quality(headers, "text/html") > quality(headers, "text/plain")
}

/// How much `media_type`, one of text, is liked: what the range says that matches it most closely. What
/// cannot be read is passed over.
fn quality(headers: &HeaderMap, media_type: &str) -> f32 {
    let ranges = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let matching = ranges.filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?;
        let closeness = ["*/*", "text/*", media_type]
            .iter()
            .position(|known| name.eq_ignore_ascii_case(known))?;
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.eq_ignore_ascii_case("q").then_some(value)
        });
        let quality = weight.map_or(Some(1.0), |value| value.parse().ok())?;
        Some((closeness, quality))
    });
    matching
        .max_by_key(|(closeness, _)| *closeness)
        .map_or(0.0, |(_, quality)| quality)
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
}
