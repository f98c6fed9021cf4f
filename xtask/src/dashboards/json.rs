//! A dashboard as Grafana reads it. Types and options are those of npm's @grafana/schema, which a test holds this to.

use super::board::{Board, Exemplars, Limits, Panel, Query, Row, Shape, Unit, Variable};
use serde_json::{Map, Value, json};

/// Of Grafana 11 and later; later ones migrate it when they load it.
const SCHEMA: u32 = 39;
/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;

const GREEN: &str = "green";
const YELLOW: &str = "yellow";
const RED: &str = "red";

/// The dashboard's JSON.
pub fn of(board: &Board) -> Value {
    let mut variables = vec![data_source_variable()];
    let known = |index: usize| board.variables.get(..index).unwrap_or_default();
    variables.extend(board.variables.iter().enumerate().map(|(index, label)| variable(label, known(index))));
    json!({
        "uid": board.uid(),
        "title": format!("Inferscope / {}", board.title),
        "description": board.purpose,
        "tags": ["inferscope"],
        "schemaVersion": SCHEMA,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "links": [links()],
        "annotations": {"list": [changes_of_agents()]},
        "templating": {"list": variables},
        "panels": panels(board),
    })
}

fn data_source() -> Value {
    json!({"type": "prometheus", "uid": "${datasource}"})
}

fn data_source_variable() -> Value {
    json!({"type": "datasource", "name": "datasource", "label": "Data source", "query": "prometheus"})
}

/// Offers what the variables before it leave.
fn variable(variable: &Variable, before: &[Variable]) -> Value {
    let Variable { label, of } = variable;
    let chosen = before.iter().map(Variable::matcher).collect::<Vec<_>>().join(",");
    let query = format!("label_values({of}{{{chosen}}}, {label})");
    json!({
        "type": "query", "name": label, "label": label.replace('_', " "), "datasource": data_source(),
        "query": {"query": query, "refId": label}, "refresh": 2, "sort": 1,
        "multi": true, "includeAll": true, "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    })
}

/// From each dashboard to the others, with what is chosen.
fn links() -> Value {
    json!({
        "type": "dashboards", "title": "Inferscope", "tags": ["inferscope"], "asDropdown": true,
        "icon": "external link", "includeVars": true, "keepTime": true, "targetBlank": false, "tooltip": "",
    })
}

/// A line where an agent started: numbers before and behind it are those of two processes.
fn changes_of_agents() -> Value {
    let expression = "inferscope_build_info unless inferscope_build_info offset 1m";
    json!({
        "name": "Agent started", "enable": false, "iconColor": "blue", "datasource": data_source(),
        "expr": expression, "titleFormat": "agent {{version}} on {{instance}}", "step": "60s",
    })
}

/// Rows and panels, each with its place.
fn panels(board: &Board) -> Vec<Value> {
    let (mut all, mut y) = (Vec::new(), 0);
    for row in &board.rows {
        all.push(heading(row, next_id(&all), y));
        y += 1;
        let (mut x, mut line) = (0, 0);
        for panel in &row.panels {
            let width = u64::from(panel.width);
            if x + width > COLUMNS {
                (x, y, line) = (0, y + line, 0);
            }
            let place = json!({"x": x, "y": y, "w": width, "h": panel.shape.height()});
            all.push(picture(board, panel, next_id(&all), place));
            (x, line) = (x + width, line.max(panel.shape.height()));
        }
        y += line;
    }
    all
}

fn next_id(panels: &[Value]) -> usize {
    panels.len().saturating_add(1)
}

fn heading(row: &Row, id: usize, y: u64) -> Value {
    let place = json!({"x": 0, "y": y, "w": COLUMNS, "h": 1});
    json!({"type": "row", "id": id, "title": row.title, "collapsed": false, "gridPos": place, "panels": []})
}

fn picture(board: &Board, panel: &Panel, id: usize, place: Value) -> Value {
    let letters = ('A'..='Z').map(String::from);
    let targets = panel.queries.iter().zip(letters).map(|(query, letter)| target(board, panel, query, letter));
    json!({
        "type": panel.shape.plugin(), "id": id, "title": panel.title, "description": panel.teaches,
        "datasource": data_source(), "gridPos": place,
        "targets": targets.collect::<Vec<_>>(),
        "fieldConfig": {"defaults": defaults(panel), "overrides": []},
        "options": options(panel),
        "transformations": if panel.shape == Shape::Table { columns(panel) } else { json!([]) },
    })
}

/// One line for each label set; the queries' names become those of their columns.
fn columns(panel: &Panel) -> Value {
    let hidden: &[&str] = match panel.unit {
        Unit::Labels => &["Time", "__name__", "job", "Value"],
        _ => &["Time", "__name__", "job"],
    };
    let hidden = hidden.iter().map(|name| ((*name).to_owned(), json!(true)));
    let names = panel.queries.iter().map(|query| ("Value".to_owned(), json!(query.legend)));
    let (hidden, names): (Map<_, _>, Map<_, _>) = (hidden.collect(), names.collect());
    json!([
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {"excludeByName": hidden, "renameByName": names}},
    ])
}

fn target(board: &Board, panel: &Panel, query: &Query, letter: String) -> Value {
    let now = matches!(panel.shape, Shape::Table);
    let format = match panel.shape {
        Shape::Table => "table",
        Shape::Heat => "heatmap",
        Shape::Lines | Shape::Stack | Shape::Figure => "time_series",
    };
    json!({
        "refId": letter, "datasource": data_source(), "editorMode": "code", "format": format,
        "expr": board.complete(&query.expression), "legendFormat": query.legend,
        "instant": now, "range": !now, "exemplar": query.exemplars == Exemplars::Shown,
    })
}

fn defaults(panel: &Panel) -> Value {
    let color = match panel.shape {
        Shape::Figure | Shape::Table => "thresholds",
        Shape::Lines | Shape::Stack | Shape::Heat => "palette-classic",
    };
    let custom = match panel.shape {
        Shape::Lines => lines(panel, 8, "none"),
        Shape::Stack => lines(panel, 40, "normal"),
        Shape::Table => json!({"align": "auto", "cellOptions": {"type": "auto"}, "filterable": true}),
        Shape::Heat | Shape::Figure => json!({}),
    };
    json!({
        "unit": panel.unit.grafana(), "thresholds": thresholds(panel.limits), "color": {"mode": color},
        "noValue": "no data", "custom": custom,
    })
}

fn lines(panel: &Panel, fill: u8, stacking: &str) -> Value {
    let limits = if panel.limits.is_some() { "dashed" } else { "off" };
    json!({
        "axisSoftMin": 0, "drawStyle": "line", "lineWidth": 1, "fillOpacity": fill, "showPoints": "never", "spanNulls": false,
        "stacking": {"mode": stacking, "group": "A"}, "thresholdsStyle": {"mode": limits},
    })
}

/// The colours begin at these values; where less is worse the first colour is the worst.
fn thresholds(limits: Option<Limits>) -> Value {
    let steps = match limits {
        None => vec![(GREEN, None)],
        Some(Limits::Above(notice, bad)) => vec![(GREEN, None), (YELLOW, Some(notice)), (RED, Some(bad))],
        Some(Limits::Below(notice, bad)) => vec![(RED, None), (YELLOW, Some(bad)), (GREEN, Some(notice))],
    };
    let steps: Vec<_> = steps.into_iter().map(|(color, value)| json!({"color": color, "value": value})).collect();
    json!({"mode": "absolute", "steps": steps})
}

fn options(panel: &Panel) -> Value {
    match panel.shape {
        Shape::Lines | Shape::Stack => json!({
            "legend": {"showLegend": true, "displayMode": "table", "placement": "bottom", "calcs": ["mean", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }),
        Shape::Figure => json!({
            "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "textMode": "auto", "orientation": "auto",
            "percentChangeColorMode": "standard", "showPercentChange": false, "wideLayout": true,
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
        }),
        Shape::Heat => json!({
            "calculate": false, "cellGap": 1, "legend": {"show": true}, "rowsFrame": {"layout": "auto"},
            "color": {
                "mode": "scheme", "scheme": "Oranges", "fill": "dark-orange", "scale": "exponential", "exponent": 0.5,
                "steps": 64, "reverse": false,
            },
            "exemplars": {"color": "rgba(31,120,193,0.8)"}, "filterValues": {"le": 1e-9},
            "tooltip": {"mode": "single", "showColorScale": false, "yHistogram": false},
            "yAxis": {"axisPlacement": "left", "reverse": false, "unit": panel.unit.grafana()},
            "showValue": "never",
        }),
        Shape::Table => json!({"cellHeight": "sm", "showHeader": true, "frameIndex": 0}),
    }
}

impl Shape {
    const fn plugin(self) -> &'static str {
        match self {
            Shape::Lines | Shape::Stack => "timeseries",
            Shape::Figure => "stat",
            Shape::Heat => "heatmap",
            Shape::Table => "table",
        }
    }

    const fn height(self) -> u64 {
        match self {
            Shape::Figure => 4,
            Shape::Lines | Shape::Stack | Shape::Heat | Shape::Table => 8,
        }
    }
}

impl Unit {
    /// Grafana's id of it.
    const fn grafana(self) -> &'static str {
        match self {
            Unit::Count | Unit::Labels => "short",
            Unit::Seconds => "s",
            Unit::PerSecond => "ops",
            Unit::Requests => "reqps",
            Unit::Tokens => "suffix: tok/s",
            Unit::Images => "suffix: /min",
            Unit::Ratio => "percentunit",
            Unit::Percent => "percent",
            Unit::Bytes => "bytes",
            Unit::BytesPerSecond => "Bps",
            Unit::Celsius => "celsius",
            Unit::Watts => "watt",
            Unit::PerJoule => "suffix: /J",
            Unit::Hertz => "hertz",
            Unit::Cores => "suffix: cores",
        }
    }
}
