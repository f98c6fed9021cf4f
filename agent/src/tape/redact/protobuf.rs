//! Masks one protobuf message: keys and lengths stay, and of a request for an inference what names its model and it.

/// Which fields stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kept {
    /// None: what the message is was not seen.
    #[default]
    Nothing,
    /// Of a `ModelInferRequest`: model, version and id.
    Inference,
}

/// Masks one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask {
    kept: Kept,
    at: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// In a key: its value and bits so far.
    Key(u64, u32),
    /// In the length of a field that stays or not.
    Length(Stays, u64, u32),
    /// In a number.
    Number,
    Bytes(Stays, u64),
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stays {
    Yes,
    No,
}

impl Default for Mask {
    fn default() -> Mask {
        Mask::zeros()
    }
}

impl Mask {
    pub(super) fn new(kept: Kept) -> Mask {
        Mask { kept, at: At::Key(0, 0) }
    }

    /// Of which nothing stays.
    pub(super) fn zeros() -> Mask {
        Mask { kept: Kept::Nothing, at: At::Broken }
    }

    pub(super) fn mask(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend(bytes.iter().map(|byte| {
            let (at, masked) = self.after(*byte);
            self.at = at;
            masked
        }));
    }

    /// Bytes were not copied: where they are not all within a field that goes, nothing behind them is known.
    pub(super) fn elide(&mut self, bytes: u64) {
        self.at = match self.at {
            At::Bytes(Stays::No, left) if bytes < left => At::Bytes(Stays::No, left - bytes),
            At::Bytes(Stays::No, left) if bytes == left => At::Key(0, 0),
            _ => At::Broken,
        };
    }

    fn after(&self, byte: u8) -> (At, u8) {
        let more = byte & 0x80 != 0;
        let grown = |value: u64, bits: u32| value | u64::from(byte & 0x7f).checked_shl(bits).unwrap_or_default();
        match self.at {
            At::Broken => (At::Broken, 0),
            At::Key(_, 63..) | At::Length(_, _, 63..) => (At::Broken, 0),
            At::Key(value, bits) if more => (At::Key(grown(value, bits), bits + 7), byte),
            At::Key(value, bits) => (self.field(grown(value, bits)), byte),
            At::Length(stays, value, bits) if more => (At::Length(stays, grown(value, bits), bits + 7), byte),
            At::Length(stays, value, bits) => match grown(value, bits) {
                0 => (At::Key(0, 0), byte),
                length => (At::Bytes(stays, length), byte),
            },
            At::Number if more => (At::Number, 0x80),
            At::Number => (At::Key(0, 0), 0),
            At::Bytes(stays, left) => {
                let at = if left > 1 { At::Bytes(stays, left - 1) } else { At::Key(0, 0) };
                (at, if stays == Stays::Yes { byte } else { 0 })
            }
        }
    }

    fn field(&self, key: u64) -> At {
        let most = match self.kept {
            Kept::Nothing => 0,
            Kept::Inference => 3,
        };
        match (key >> 3, key & 7) {
            (0, _) => At::Broken,
            (_, 0) => At::Number,
            (_, 1) => At::Bytes(Stays::No, 8),
            (number, 2) => At::Length(if number <= most { Stays::Yes } else { Stays::No }, 0, 0),
            (_, 5) => At::Bytes(Stays::No, 4),
            _ => At::Broken,
        }
    }
}
