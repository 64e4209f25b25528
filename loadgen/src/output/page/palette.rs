//! Colours: Okabe and Ito's, which people with any colour vision tell apart, darker on white and lighter
//! on black so that they stand out from both.

use std::fmt::Write as _;

/// Colours that differ.
pub const COLORS: usize = 7;

/// Looks of lines: each colour with each pattern of dashes.
pub const SERIES: usize = 3 * COLORS;

/// Each for a light and for a dark page.
const PAIRS: [(&str, &str); COLORS] = [
    ("#0072b2", "#4da3e0"),
    ("#d55e00", "#ff8a3d"),
    ("#00845f", "#2fc89b"),
    ("#b4558a", "#e59cc6"),
    ("#a87400", "#f0b93a"),
    ("#3d95cf", "#8fd0fa"),
    ("#666666", "#b0b0b0"),
];

/// Names of the page's other colours, light and dark.
const OTHERS: [(&str, &str, &str); 9] = [
    ("page", "#ffffff", "#14171a"),
    ("panel", "#f5f6f7", "#1d2125"),
    ("ink", "#1b1f23", "#e6e8ea"),
    ("quiet", "#59626b", "#a3acb5"),
    ("axis", "#6b747c", "#8b949d"),
    ("grid", "#e1e4e7", "#2e343a"),
    ("link", "#005a9c", "#7ab8f5"),
    ("good", "#00664a", "#4fd1a5"),
    ("bad", "#a13d00", "#ff9d66"),
];

/// Definitions of all colours, for light and dark pages and for paper.
pub fn css() -> String {
    let light = variables(|(light, _)| light, |(_, light, _)| light);
    let dark = variables(|(_, dark)| dark, |(_, _, dark)| dark);
    format!(
        ":root{{color-scheme:light;{light}}}\
         @media (prefers-color-scheme:dark){{:root{{color-scheme:dark;{dark}}}}}\
         @media print{{:root{{color-scheme:light;{light}}}}}"
    )
}

/// Definitions for a reader who chose a theme, which the selectors tell; paper is always light.
pub(super) fn chosen(light_selector: &str, dark_selector: &str) -> String {
    let light = variables(|(light, _)| light, |(_, light, _)| light);
    let dark = variables(|(_, dark)| dark, |(_, _, dark)| dark);
    format!(
        "{light_selector}{{color-scheme:light;{light}}}\
         @media not print{{{dark_selector}{{color-scheme:dark;{dark}}}}}"
    )
}

fn variables(
    pair: fn((&'static str, &'static str)) -> &'static str,
    other: fn((&'static str, &'static str, &'static str)) -> &'static str,
) -> String {
    let mut text = String::new();
    for number in 0..SERIES {
        // Writing to a string cannot fail.
        let _ = write!(text, "--s{}:{};", number + 1, pair(PAIRS[number % COLORS]));
    }
    for entry in OTHERS {
        let _ = write!(text, "--{}:{};", entry.0, other(entry));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, WCAG 2.
    fn luminance(color: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
            match value <= 0.04045 {
                true => value / 12.92,
                false => ((value + 0.055) / 1.055).powf(2.4),
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn everything_stands_out_from_its_page() {
        let of = |name: &str| OTHERS.into_iter().find(|entry| entry.0 == name).unwrap();
        let page = of("page");
        for (light, dark) in PAIRS {
            // 3 for what is drawn, 4.5 for what is read (WCAG 1.4.11 and 1.4.3).
            assert!(contrast(light, page.1) >= 3.0, "{light}");
            assert!(contrast(dark, page.2) >= 3.0, "{dark}");
        }
        for name in ["ink", "quiet", "link", "good", "bad"] {
            for ground in [page, of("panel")] {
                let text = of(name);
                assert!(
                    contrast(text.1, ground.1) >= 4.5,
                    "{name} on light {}",
                    ground.0
                );
                assert!(
                    contrast(text.2, ground.2) >= 4.5,
                    "{name} on dark {}",
                    ground.0
                );
            }
        }
    }
}
