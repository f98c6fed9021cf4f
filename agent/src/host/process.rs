//! A process as engines judge it. Pure: [`super::discover`] fills it from /proc, tests write it by hand.

use crate::event::Tgid;

/// What is known of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its id in the host's pid namespace.
    pub tgid: Tgid,
    /// /proc/PID/comm: at most 15 bytes.
    pub comm: String,
    /// /proc/PID/cmdline, split at NUL. A program that renames itself (setproctitle) has one blank-padded entry.
    pub argv: Vec<String>,
    /// Where /proc/PID/exe points.
    pub exe: String,
    /// File names of the libraries that it maps. Empty until its other properties were not enough for any engine.
    pub libraries: Vec<String>,
    /// Where /proc/PID/cwd points.
    pub cwd: String,
    /// What lies in the folder of the script that it runs, where it is a Python interpreter and the folder can be read.
    pub beside: Vec<String>,
    /// Parent, grandparent, …: nearest first, up to init.
    pub ancestors: Vec<Ancestor>,
}

/// A process above another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ancestor {
    /// Its id.
    pub tgid: Tgid,
    /// Its /proc/PID/comm.
    pub comm: String,
    /// Its /proc/PID/cmdline.
    pub argv: Vec<String>,
}

impl Process {
    /// The script that a Python interpreter runs.
    #[must_use]
    pub fn script(&self) -> Option<&str> {
        let mut words = self.argv.iter().skip(1).map(String::as_str);
        if !self.argv_base(0).starts_with("python") {
            return None;
        }
        loop {
            match words.next()? {
                "-m" | "-c" => return None,
                // Options of the interpreter that take a value.
                "-X" | "-W" => drop(words.next()),
                option if option.starts_with('-') => {}
                script => return Some(script),
            }
        }
    }

    /// The last path component of `argv[n]`, or "" where there is none.
    #[must_use]
    pub fn argv_base(&self, n: usize) -> &str {
        self.argv.get(n).map_or("", |arg| arg.rsplit('/').next().unwrap_or(arg))
    }

    /// The value of `--name value` or `--name=value` in its arguments.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        option(&self.argv, name)
    }
}

/// The value of `--name value` or `--name=value`.
#[must_use]
pub fn option<'a>(argv: &'a [String], name: &str) -> Option<&'a str> {
    let mut words = argv.iter().map(String::as_str);
    let value = words.find_map(|word| match word.strip_prefix(name)? {
        "" => Some(None),
        value => value.strip_prefix('=').map(Some),
    })?;
    value.or_else(|| words.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts() {
        for (argv, expected) in [
            (&["python3", "main.py", "--port", "1"][..], Some("main.py")),
            (&["/opt/venv/bin/python3.12", "-u", "-X", "dev", "/opt/a/main.py"], Some("/opt/a/main.py")),
            (&["python", "-m", "main"], None),
            (&["python", "-c", "import main", "main.py"], None),
            (&["python"], None),
            (&["bash", "main.py"], None),
            (&[], None),
        ] {
            let argv = argv.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(Process { argv, ..Process::default() }.script(), expected);
        }
    }
}
