//! Which metrics and labels an expression of PromQL names. It reads words, not structure: promtool judges that.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::CharIndices;

/// What stands before a list of labels.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
/// Words that are no metric without being followed by a parenthesis.
const WORDS: [&str; 7] = ["and", "or", "unless", "bool", "offset", "Inf", "NaN"];
/// What may have its labels between itself and its parenthesis.
const AGGREGATIONS: [&str; 9] = ["sum", "min", "max", "avg", "count", "group", "topk", "bottomk", "quantile"];

/// A metric, and the labels that it is asked for by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    pub metric: String,
    pub labels: Vec<String>,
}

/// All names of an expression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub selectors: Vec<Selector>,
    /// Labels that are grouped or joined by.
    pub groupings: BTreeSet<String>,
}

/// A word, or a sign.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(char),
}

/// The names of an expression.
pub fn names(expression: &str) -> Names {
    let mut names = Names::default();
    let mut tokens = tokens(expression).into_iter().peekable();
    while let Some(token) = tokens.next() {
        let Token::Word(word) = token else { continue };
        let called = tokens.peek() == Some(&Token::Sign('('));
        if GROUPING.contains(&word.as_str()) {
            if called {
                names.groupings.extend(words_until(&mut tokens, ')'));
            }
        } else if tokens.peek() == Some(&Token::Sign('{')) {
            names.selectors.push(Selector { metric: word, labels: words_until(&mut tokens, '}') });
        } else if !called && !WORDS.contains(&word.as_str()) && !AGGREGATIONS.contains(&word.as_str()) {
            names.selectors.push(Selector { metric: word, labels: Vec::new() });
        }
    }
    names
}

fn words_until(tokens: &mut Peekable<impl Iterator<Item = Token>>, end: char) -> Vec<String> {
    let inside = tokens.take_while(|token| *token != Token::Sign(end));
    inside.filter_map(|token| if let Token::Word(word) = token { Some(word) } else { None }).collect()
}

/// Words and signs; texts, numbers, durations, ranges and variables of Grafana are left out.
fn tokens(expression: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = expression.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        match character {
            '"' | '\'' => text(&mut rest, character),
            '[' => while rest.next().is_some_and(|(_, inside)| inside != ']') {},
            '$' | '0'..='9' => {
                word(expression, at + 1, &mut rest);
            }
            'a'..='z' | 'A'..='Z' | '_' | ':' => tokens.push(Token::Word(word(expression, at, &mut rest))),
            _ if character.is_whitespace() => {}
            _ => tokens.push(Token::Sign(character)),
        }
    }
    tokens
}

fn text(rest: &mut Peekable<CharIndices<'_>>, quote: char) {
    while let Some((_, character)) = rest.next() {
        match character {
            '\\' => drop(rest.next()),
            _ if character == quote => return,
            _ => {}
        }
    }
}

fn word(expression: &str, start: usize, rest: &mut Peekable<CharIndices<'_>>) -> String {
    let mut end = start;
    while let Some((at, character)) = rest.next_if(|(_, next)| next.is_alphanumeric() || "_:".contains(*next)) {
        end = at + character.len_utf8();
    }
    expression[start..end.max(start + 1).min(expression.len())].to_owned()
}

#[test]
fn names_are_found_wherever_they_stand() {
    let found = names(
        r#"histogram_quantile(0.95, sum by (le, model) (rate(a_bucket{b=~"x{y}", c!="$c"}[$__rate_interval])))
           / on (d) group_left () sum(e) and f > 1e3 or 60 * avg without (g) (h{i="\"j"} offset 10m)"#,
    );
    let selector = |metric: &str, labels: &[&str]| Selector {
        metric: metric.into(),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
    };
    assert_eq!(
        found.selectors,
        [selector("a_bucket", &["b", "c"]), selector("e", &[]), selector("f", &[]), selector("h", &["i"])]
    );
    assert_eq!(found.groupings, ["d", "g", "le", "model"].map(String::from).into());
}
