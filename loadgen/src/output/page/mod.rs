//! What every HTML page is dressed in: one file that needs no network and runs no script.

pub mod palette;

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");

/// Nothing may be fetched and nothing run, whatever a result holds.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A page around `body`.
pub fn frame(title: &str, rules: &str, body: &Markup) -> String {
    let style = format!("{}{}{}{rules}", palette::css(), theme_rules(), STYLE);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                title { (title) }
                // Ours alone: no text of a result is in it.
                style { (PreEscaped(style)) }
            }
            body { (body) }
        }
    }
    .into_string()
}

/// A choice of colours, by style alone.
pub fn theme() -> Markup {
    html! {
        fieldset.theme aria-label="Colours" {
            label { input type="radio" name="theme" id="theme-auto" checked; " as the system" }
            label { input type="radio" name="theme" id="theme-light"; " light" }
            label { input type="radio" name="theme" id="theme-dark"; " dark" }
        }
    }
}

fn theme_rules() -> String {
    palette::chosen(
        ":root:has(#theme-light:checked)",
        ":root:has(#theme-dark:checked)",
    )
}
