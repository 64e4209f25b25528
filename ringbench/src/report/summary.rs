//! The summary in Markdown, as GitHub shows it.

use super::grid::escape;
use super::page::{LEGEND, VERDICTS, sentences};
use super::tables;
use super::view::View;

/// The whole summary.
pub(super) fn summary(view: &View<'_>) -> String {
    let suite = &view.results.suite;
    let mut text = format!("# {}\n", escape(&suite.title));
    if !suite.started.is_empty() {
        let finished = match &suite.finished {
            Some(finished) => format!("to {}", escape(finished)),
            None => "and not finished".to_owned(),
        };
        text.push_str(&format!(
            "\nMeasured from {} {finished}.\n",
            escape(&suite.started)
        ));
    }
    if let Some(environment) = &view.results.environment {
        let rows = tables::flatten(environment);
        for name in ["cpu.model", "kernel", "source.git_commit"] {
            if let Some((_, value)) = rows.iter().find(|(path, _)| path == name) {
                text.push_str(&format!("\n- {name}: {}", escape(value)));
            }
        }
        text.push('\n');
    }
    for sentence in sentences(view) {
        text.push_str(&format!("\n{}\n", escape(&sentence)));
    }
    if let Some(figure) = view
        .main()
        .and_then(|table| view.bars(table, super::figures::Metric::Cpu))
    {
        text.push_str(&format!("\n![{}](main.svg)\n", escape(&figure.caption)));
    }
    text.push_str(
        "\nPlots, environment, commands and every single verdict are in `report.html`.\n",
    );
    list(&mut text, "Skipped", &tables::skipped(view));
    list(&mut text, "Without figures", &tables::failed(view));
    let notes: Vec<String> = suite.notes.iter().chain(&view.missing).cloned().collect();
    list(&mut text, "Notes", &notes);
    for family in view.families() {
        text.push_str(&format!("\n## {}\n", escape(&family.title)));
        for table in &family.tables {
            text.push_str(&format!("\n### {}\n\n", escape(&table.workload.title)));
            text.push_str(&tables::figures(view, table).markdown());
        }
    }
    text.push_str("\n## How to read this\n\n");
    text.push_str(LEGEND);
    text.push_str("\n\n");
    for (verdict, meaning) in VERDICTS {
        text.push_str(&format!("- *{verdict}*: {meaning}.\n"));
    }
    text
}

fn list(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push_str(&format!("\n**{title}**\n\n"));
    for line in lines {
        text.push_str(&format!("- {}\n", escape(line)));
    }
}
