//! `cargo xtask …` as documents quote it: the command and its options exist. Journals are held to it too: a measurement whose command is
//! gone can't be repeated.

use clap::Command;

/// Quoted commands of `text`, the document `name`, that `xtask` does not know.
pub fn unknown(name: &str, text: &str, xtask: &Command) -> Vec<String> {
    // A command may go on on the next line.
    let words: Vec<(usize, &str)> = (1..)
        .zip(text.lines())
        .flat_map(|(number, line)| line.split_whitespace().map(move |word| (number, word)))
        .collect();
    let starts = words
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| matches!(pair, [(_, first), (_, "xtask")] if first.ends_with("cargo")));
    starts
        .filter_map(|(at, _)| {
            let (number, word) = words.get(at + 2)?;
            // In an indented block each line is a command of its own.
            let block = text.lines().nth(number.saturating_sub(1))?.starts_with("    ");
            let behind =
                words.get(at + 3..)?.iter().take_while(|(line, word)| *word != "&&" && !(block && line != number));
            let options = behind.map(|(_, word)| *word);
            let wrong = judge(word, options, xtask)?;
            Some(format!("{name}:{number}: {wrong}"))
        })
        .collect()
}

/// What is wrong with a command: its name, then its options up to the end of the quotation.
fn judge<'w>(word: &str, options: impl Iterator<Item = &'w str>, xtask: &Command) -> Option<String> {
    let (named, ended) = cut(word);
    if named.is_empty() || named == "help" || !named.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
        return None;
    }
    let Some(command) = xtask.find_subcommand(named) else {
        return Some(format!("there is no `cargo xtask {named}`"));
    };
    let mut ended = ended;
    for option in options {
        if ended || option == "--" {
            return None;
        }
        let (option, last) = cut(option);
        ended = last;
        // What is neither an option nor behind one belongs to the text.
        let Some(flag) = option.strip_prefix("--") else { continue };
        let flag = flag.split('=').next().unwrap_or(flag);
        if !flag.is_empty() && !command.get_arguments().any(|argument| argument.get_long() == Some(flag)) {
            return Some(format!("`cargo xtask {named}` has no --{flag}"));
        }
    }
    None
}

/// A word up to where the quotation ends, and whether it does.
fn cut(word: &str) -> (&str, bool) {
    let end = word.find(|c: char| "`;,)#…|".contains(c)).unwrap_or(word.len());
    (word.get(..end).unwrap_or(word), end < word.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Arg, ArgAction};

    #[test]
    fn what_xtask_does_not_know_is_found() {
        let test = Command::new("test").arg(Arg::new("engines").long("engines").action(ArgAction::SetTrue));
        let xtask = Command::new("xtask").subcommand(test);
        for (text, expected) in [
            ("`cargo xtask test --engines` and --nothing", 0),
            ("`cargo xtask test --engine`", 1),
            ("`cargo\nxtask gone`, `cargo xtask test -- --anything`", 1),
            ("    cargo xtask test && other --option\n    third --option", 0),
            ("    LOAD=1 cargo xtask test --engines   # the tables", 0),
            ("`cargo xtask …`, `cargo xtask`, `cargo xtask NAME`", 0),
        ] {
            assert_eq!(unknown("a.md", text, &xtask).len(), expected, "{text}");
        }
    }
}
