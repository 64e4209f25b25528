//! What every HTML page is dressed in: one file that needs no network and runs no script.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// Colours of light and dark pages, as CSS variables. `--s1` to `--s7` are Okabe and Ito's, which people with any
/// colour vision tell apart, darker on white and lighter on black so that they stand out from both.
pub const COLORS: &str = include_str!("colors.css");

const STYLE: &str = include_str!("style.css");

/// Nothing may be fetched and nothing run, whatever a result holds.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A page around `body`.
pub fn frame(title: &str, rules: &str, body: &Markup) -> String {
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
                style { (PreEscaped(COLORS)) (PreEscaped(STYLE)) (PreEscaped(rules)) }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, WCAG 2.
    fn luminance(color: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    /// The smaller of a colour's two contrasts, on light and on dark.
    fn contrast(name: &str, ground: &str) -> f64 {
        let luminances = |name: &str| {
            let (_, rest) = COLORS.split_once(&format!("--{name}:light-dark(")).unwrap();
            let (light, rest) = rest.split_once(',').unwrap();
            [light, rest.split_once(')').unwrap().0].map(luminance)
        };
        let pairs = luminances(name).into_iter().zip(luminances(ground));
        let contrast = |(a, b): (f64, f64)| (a.max(b) + 0.05) / (a.min(b) + 0.05);
        pairs.map(contrast).fold(f64::MAX, f64::min)
    }

    #[test]
    fn everything_stands_out_from_its_page() {
        // 3 for what is drawn, 4.5 for what is read (WCAG 1.4.11 and 1.4.3).
        for name in ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "axis"] {
            assert!(contrast(name, "page") >= 3.0, "{name}");
        }
        for name in ["ink", "quiet", "link", "good", "bad"] {
            for ground in ["page", "panel"] {
                assert!(contrast(name, ground) >= 4.5, "{name} on {ground}");
            }
        }
    }
}
