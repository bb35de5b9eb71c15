//! [`Lines`]: on which line of a text each part of it stands.
//!
//! The trees that specs are read from have no positions, since nothing but a report wants them; so the text is gone through
//! once more. JSON goes through the same parser, as nearly all JSON is YAML.

use crate::place::{Place, Step};
use saphyr_parser::{Event, Parser};

/// Deeper levels have no line; a spec has seven.
const DEPTH_LIMIT: usize = 64;

/// The lines of a text. What follows a syntax error has none.
#[derive(Debug, Default)]
pub(super) struct Lines {
    root: Option<Part>,
}

/// A value: its line, and what it consists of.
#[derive(Debug)]
struct Part {
    line: usize,
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    Scalar,
    List(Vec<Part>),
    /// The line is that of the name.
    Map(Vec<(String, Part)>),
}

impl Lines {
    pub(super) fn of(text: &str) -> Lines {
        let mut parser = Parser::new_from_str(text);
        let mut builder = Builder::default();
        while let Some(Ok((event, span))) = parser.next_event() {
            if matches!(event, Event::DocumentEnd | Event::StreamEnd)
                || builder.take(&event, span.start.line()).is_none()
            {
                break;
            }
        }
        while builder.end().is_some() {}
        Lines { root: builder.root }
    }

    /// The line of a place, or of the nearest thing around it that has one: what an alias stands for is elsewhere.
    pub(super) fn line(&self, place: &Place) -> Option<usize> {
        let mut part = self.root.as_ref()?;
        for step in place.steps() {
            match part.child(step) {
                Some(child) => part = child,
                None => break,
            }
        }
        Some(part.line)
    }

    /// The line of a member of the map at a place, by its name in any case. Of several the last.
    pub(super) fn line_of_member(&self, place: &Place, name: &str) -> Option<usize> {
        let found = self.members(place)?.iter().rfind(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, part)| part.line).or_else(|| self.line(place))
    }

    /// Whether the map at a place has a member of that name in the text itself, even an empty one.
    pub(super) fn has_member(&self, place: &Place, name: &str) -> bool {
        self.members(place).is_some_and(|members| members.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)))
    }

    fn members(&self, place: &Place) -> Option<&[(String, Part)]> {
        let part = place.steps().iter().try_fold(self.root.as_ref()?, Part::child)?;
        if let Inner::Map(members) = &part.inner { Some(members) } else { None }
    }
}

impl Part {
    fn child(&self, step: &Step) -> Option<&Part> {
        match (&self.inner, step) {
            (Inner::List(items), Step::Item(index)) => items.get(*index),
            (Inner::Map(members), Step::Field(name)) => {
                let exact = members.iter().find(|(own, _)| own == name);
                exact.or_else(|| members.iter().find(|(own, _)| own.eq_ignore_ascii_case(name))).map(|(_, part)| part)
            }
            _ => None,
        }
    }
}

#[derive(Default)]
struct Builder {
    /// What is open, outermost first; a map with the name that waits for its value.
    open: Vec<(Part, Option<(String, usize)>)>,
    root: Option<Part>,
}

impl Builder {
    /// `None`: enough.
    fn take(&mut self, event: &Event<'_>, line: usize) -> Option<()> {
        match event {
            Event::Scalar(text, ..) => self.scalar(text, line),
            Event::Alias(_) => self.scalar("", line),
            Event::SequenceStart(..) => self.start(Inner::List(Vec::new()), line)?,
            Event::MappingStart(..) => self.start(Inner::Map(Vec::new()), line)?,
            Event::SequenceEnd | Event::MappingEnd => self.end()?,
            _ => {}
        }
        Some(())
    }

    fn scalar(&mut self, text: &str, line: usize) {
        if let Some((Part { inner: Inner::Map(_), .. }, name @ None)) = self.open.last_mut() {
            *name = Some((text.to_owned(), line));
            return;
        }
        self.put(Part { line, inner: Inner::Scalar });
    }

    fn start(&mut self, inner: Inner, line: usize) -> Option<()> {
        // A map as a name is no spec's.
        let is_name = matches!(self.open.last(), Some((Part { inner: Inner::Map(_), .. }, None)));
        if self.open.len() >= DEPTH_LIMIT || is_name {
            return None;
        }
        self.open.push((Part { line, inner }, None));
        Some(())
    }

    fn end(&mut self) -> Option<()> {
        let (part, _) = self.open.pop()?;
        self.put(part);
        Some(())
    }

    fn put(&mut self, part: Part) {
        match self.open.last_mut() {
            None => self.root = Some(part),
            Some((Part { inner: Inner::List(items), .. }, _)) => items.push(part),
            Some((Part { inner: Inner::Map(members), .. }, name)) => {
                if let Some((name, line)) = name.take() {
                    members.push((name, Part { line, ..part }));
                }
            }
            Some(_) => {}
        }
    }
}
