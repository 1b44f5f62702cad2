//! A Python code object as `marshal` wrote it in, the same object in the one form that follows from its source out. Pure.
//!
//! What `marshal` refers back to, and how it sorts sets, it decides by reference counts, which whatever else was compiled in the same
//! process has changed: two runs of one compiler write different bytes. Here equal constants are one constant, written where it comes
//! first and referred to from then on, and sets are sorted by what their elements say. Refuses, by answering `None`, what no compiler writes.
//!
//! Source: CPython's `Python/marshal.c` of 3.10 to 3.14; every one of them loads this form.

use std::collections::HashMap;

/// On the type of an object that is referred to later.
const FLAG_REF: u8 = 0x80;

/// The compiler gives up at 100 levels of indentation and 200 of brackets.
const DEEPEST: u32 = 400;

/// `data`, written by CPython 3.`minor`, in its one form.
pub(crate) fn canonical(data: &[u8], minor: u8) -> Option<Vec<u8>> {
    let mut reader = Reader {
        data,
        at: 0,
        minor,
        objects: Objects::default(),
        marked: Vec::new(),
    };
    let root = reader.object(0)?;
    if reader.at != data.len() {
        return None;
    }
    let all = reader.objects.all;
    let mut writer = Writer {
        uses: vec![0; all.len()],
        names: vec![None; all.len()],
        next: 0,
        bytes: Vec::with_capacity(data.len()),
        all: &all,
    };
    writer.count(root);
    writer.write(root);
    Some(writer.bytes)
}

/// One object; those in it by their place in [`Objects`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Object<'a> {
    /// `None`, truth values, `...`: their type says it all.
    Single(u8),
    /// Numbers, with their bytes as they stand.
    Number(u8, &'a [u8]),
    /// UTF-8, and whether Python keeps only one of it.
    Text(&'a [u8], bool),
    Bytes(&'a [u8]),
    /// A tuple, a frozen set or a slice.
    Several(u8, Vec<usize>),
    Code(Box<Code<'a>>),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Code<'a> {
    numbers: &'a [u8],
    /// From the code itself to its name.
    parts: Vec<usize>,
    first_line: &'a [u8],
    tables: Vec<usize>,
}

impl Object<'_> {
    /// Whether two equal ones may be one.
    fn is_constant(&self) -> bool {
        match self {
            Self::Single(_) | Self::Code(_) => false,
            Self::Several(kind, _) => *kind != b':',
            Self::Number(..) | Self::Text(..) | Self::Bytes(_) => true,
        }
    }
}

#[derive(Debug, Default)]
struct Objects<'a> {
    all: Vec<Object<'a>>,
    constants: HashMap<Object<'a>, usize>,
}

impl<'a> Objects<'a> {
    fn add(&mut self, object: Object<'a>) -> usize {
        let place = self.all.len();
        if object.is_constant() {
            let known = *self.constants.entry(object.clone()).or_insert(place);
            if known != place {
                return known;
            }
        }
        self.all.push(object);
        place
    }
}

struct Reader<'a> {
    data: &'a [u8],
    at: usize,
    minor: u8,
    objects: Objects<'a>,
    /// What may be referred to, by number; nothing while it is being read.
    marked: Vec<Option<usize>>,
}

impl<'a> Reader<'a> {
    fn object(&mut self, depth: u32) -> Option<usize> {
        if depth > DEEPEST {
            return None;
        }
        let [byte] = self.array()?;
        let kind = byte & !FLAG_REF;
        if kind == b'r' {
            let number = self.count()?;
            return *self.marked.get(number)?;
        }
        let mark = self.marked.len();
        if byte & FLAG_REF != 0 {
            self.marked.push(None);
        }
        let object = match kind {
            b'N' | b'F' | b'T' | b'S' | b'.' => Object::Single(kind),
            b'i' => Object::Number(kind, self.take(4)?),
            b'g' => Object::Number(kind, self.take(8)?),
            b'y' => Object::Number(kind, self.take(16)?),
            b'l' => {
                let start = self.at;
                let digits = i32::from_le_bytes(self.array()?).unsigned_abs();
                self.take(usize::try_from(digits).ok()?.checked_mul(2)?)?;
                Object::Number(kind, &self.data[start..self.at])
            }
            b's' => Object::Bytes(self.counted()?),
            b'u' | b'a' | b't' | b'A' => {
                let text = self.counted()?;
                Object::Text(text, is_interned(kind, text))
            }
            b'z' | b'Z' => {
                let [length] = self.array()?;
                let text = self.take(usize::from(length))?;
                Object::Text(text, is_interned(kind, text))
            }
            b')' => {
                let [count] = self.array()?;
                Object::Several(b'(', self.several(usize::from(count), depth)?)
            }
            b'(' => {
                let count = self.count()?;
                Object::Several(kind, self.several(count, depth)?)
            }
            b'>' => {
                let count = self.count()?;
                let mut elements = self.several(count, depth)?;
                elements.sort_by_cached_key(|element| self.said(*element));
                Object::Several(kind, elements)
            }
            b':' => Object::Several(kind, self.several(3, depth)?),
            b'c' => Object::Code(Box::new(self.code(depth)?)),
            _ => return None,
        };
        let place = self.objects.add(object);
        if byte & FLAG_REF != 0 {
            self.marked[mark] = Some(place);
        }
        Some(place)
    }

    fn code(&mut self, depth: u32) -> Option<Code<'a>> {
        let (numbers, tables) = match self.minor {
            ..11 => (6, 1),
            11.. => (5, 2),
        };
        Some(Code {
            numbers: self.take(4 * numbers)?,
            parts: self.several(8, depth)?,
            first_line: self.take(4)?,
            tables: self.several(tables, depth)?,
        })
    }

    fn several(&mut self, count: usize, depth: u32) -> Option<Vec<usize>> {
        (0..count).map(|_| self.object(depth + 1)).collect()
    }

    /// All that an element of a set says, without references.
    fn said(&self, element: usize) -> Vec<u8> {
        let mut writer = Writer {
            all: &self.objects.all,
            uses: Vec::new(),
            names: Vec::new(),
            next: 0,
            bytes: Vec::new(),
        };
        writer.write(element);
        writer.bytes
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(i32::from_le_bytes(self.array()?)).ok()
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.data.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }
}

/// Of the empty string and of single characters Python has one each, interned or not as it happened.
fn is_interned(kind: u8, text: &[u8]) -> bool {
    matches!(kind, b't' | b'A' | b'Z') || text.len() < 2
}

struct Writer<'a> {
    all: &'a [Object<'a>],
    /// How often each object is written or referred to; none when there are to be no references.
    uses: Vec<u32>,
    /// What objects that were written are referred to as.
    names: Vec<Option<u32>>,
    next: u32,
    bytes: Vec<u8>,
}

impl Writer<'_> {
    fn count(&mut self, place: usize) {
        self.uses[place] += 1;
        if self.uses[place] > 1 {
            return;
        }
        let all = self.all;
        match &all[place] {
            Object::Several(_, elements) => elements.iter().for_each(|one| self.count(*one)),
            Object::Code(code) => {
                let inner = code.parts.iter().chain(&code.tables);
                inner.for_each(|one| self.count(*one));
            }
            _ => {}
        }
    }

    fn write(&mut self, place: usize) {
        let mut flag = 0;
        let all = self.all;
        if self.uses.get(place).is_some_and(|uses| *uses > 1) && all[place].is_constant() {
            if let Some(name) = self.names[place] {
                self.bytes.push(b'r');
                self.bytes.extend(name.to_le_bytes());
                return;
            }
            self.names[place] = Some(self.next);
            self.next += 1;
            flag = FLAG_REF;
        }
        match &all[place] {
            Object::Single(kind) => self.bytes.push(*kind),
            Object::Number(kind, bytes) => {
                self.bytes.push(kind | flag);
                self.bytes.extend(*bytes);
            }
            Object::Text(text, interned) => {
                let (short, long) = match (text.is_ascii(), interned) {
                    (true, true) => (Some(b'Z'), b'A'),
                    (true, false) => (Some(b'z'), b'a'),
                    (false, true) => (None, b't'),
                    (false, false) => (None, b'u'),
                };
                self.sized(short, long, flag, text.len());
                self.bytes.extend(*text);
            }
            Object::Bytes(bytes) => {
                self.sized(None, b's', flag, bytes.len());
                self.bytes.extend(*bytes);
            }
            Object::Several(kind, elements) => {
                match kind {
                    b':' => self.bytes.push(b':'),
                    b'(' => self.sized(Some(b')'), b'(', flag, elements.len()),
                    kind => self.sized(None, *kind, flag, elements.len()),
                }
                elements.iter().for_each(|one| self.write(*one));
            }
            Object::Code(code) => {
                self.bytes.push(b'c');
                self.bytes.extend(code.numbers);
                code.parts.iter().for_each(|one| self.write(*one));
                self.bytes.extend(code.first_line);
                code.tables.iter().for_each(|one| self.write(*one));
            }
        }
    }

    /// A type and how much follows it, in a byte where there is a type for that.
    fn sized(&mut self, short: Option<u8>, long: u8, flag: u8, count: usize) {
        match (short, u8::try_from(count)) {
            (Some(short), Ok(count)) => self.bytes.extend([short | flag, count]),
            _ => {
                self.bytes.push(long | flag);
                // It was read from four bytes.
                self.bytes.extend((count as u32).to_le_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str, mark: u8) -> Vec<u8> {
        let mut bytes = vec![b'Z' | mark, text.len() as u8];
        bytes.extend(text.as_bytes());
        bytes
    }

    fn reference(number: u32) -> Vec<u8> {
        [&b"r"[..], &number.to_le_bytes()].concat()
    }

    fn several(kind: &[u8], objects: &[Vec<u8>]) -> Vec<u8> {
        [kind, &objects.concat()].concat()
    }

    const M: u8 = FLAG_REF;

    #[test]
    fn what_is_written_twice_is_referred_to_and_nothing_else_is_marked() {
        let one_form = several(b")\x03", &[name("ab", M), name("cd", 0), reference(0)]);
        let long = several(
            b"(\x03\0\0\0",
            &[name("ab", 0), name("cd", 0), name("ab", 0)],
        );
        let all_marked = several(
            &[b')' | M, 3],
            &[name("ab", M), name("cd", M), reference(1)],
        );
        for other in [&one_form, &long, &all_marked] {
            assert_eq!(canonical(other, 13).as_ref(), Some(&one_form));
        }
    }

    #[test]
    fn sets_are_sorted_by_what_their_elements_say() {
        let set = |elements: &[Vec<u8>]| several(b">\x02\0\0\0", elements);
        let one_form = set(&[name("ab", 0), name("cd", 0)]);
        for other in [
            set(&[name("cd", 0), name("ab", M)]),
            set(&[name("ab", M), name("cd", 0)]),
        ] {
            assert_eq!(canonical(&other, 13).as_ref(), Some(&one_form));
        }
    }

    #[test]
    fn what_no_compiler_writes_is_refused() {
        let whole = several(b")\x02", &[name("ab", M), reference(0)]);
        assert_eq!(canonical(&whole, 13).as_ref(), Some(&whole));
        for end in 0..whole.len() {
            assert_eq!(canonical(&whole[..end], 13), None);
        }
        let circle = several(&[b')' | M, 1], &[reference(0)]);
        let ahead = several(b")\x01", &[reference(0)]);
        let more = [&whole[..], b"N"].concat();
        let deep = b")\x01".repeat(3000);
        for other in [&circle[..], &ahead, &more, &deep, b"?"] {
            assert_eq!(canonical(other, 13), None);
        }
    }
}
