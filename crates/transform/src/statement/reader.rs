//! Reads a statement from left to right. Expressions are left to the parser; the clauses are read here, so that
//! whatever a job cannot do is named at its word.

use std::ops::Range;

use event::AggregateFunction;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::qualifiers::can_be_alias;
use super::{AggregateWords, Name, Part, SelectItem, Statement};
use crate::ExpressionError;
use crate::dialect::DuckDb;
use crate::source::Source;

pub(super) type Result<T> = std::result::Result<T, ExpressionError>;

/// Where one is in the text.
pub(super) struct Reader<'a> {
    source: &'a Source<'a>,
    /// All tokens but blanks and comments.
    tokens: Vec<TokenWithSpan>,
    at: usize,
}

/// Words that end a statement which a job cannot be, with what to say about them.
const REFUSED: [(Keyword, &str, &str); 22] = [
    (Keyword::JOIN, "joins are not supported", ONE_STREAM),
    (Keyword::INNER, "joins are not supported", ONE_STREAM),
    (Keyword::LEFT, "joins are not supported", ONE_STREAM),
    (Keyword::RIGHT, "joins are not supported", ONE_STREAM),
    (Keyword::FULL, "joins are not supported", ONE_STREAM),
    (Keyword::CROSS, "joins are not supported", ONE_STREAM),
    (Keyword::NATURAL, "joins are not supported", ONE_STREAM),
    (Keyword::ORDER, "ORDER BY is not supported", "rows come by end of the window, then by key"),
    (Keyword::LIMIT, "LIMIT is not supported", NO_END),
    (Keyword::OFFSET, "OFFSET is not supported", NO_END),
    (Keyword::FETCH, "FETCH is not supported", NO_END),
    (Keyword::UNION, "UNION without ALL is not supported", "write UNION ALL: no row of a stream is left out"),
    (Keyword::INTERSECT, "INTERSECT is not supported", ONE_SELECT),
    (Keyword::EXCEPT, "EXCEPT is not supported", ONE_SELECT),
    (Keyword::SELECT, "sub-queries are not supported", ONE_SELECT),
    (Keyword::OVER, "OVER is not supported", "the windows are those behind FROM"),
    (Keyword::QUALIFY, "QUALIFY is not supported", "write HAVING"),
    (Keyword::WINDOW, "WINDOW is not supported", "the windows are those behind FROM"),
    (Keyword::WITH, "WITH is not supported", ONE_SELECT),
    (Keyword::CREATE, "CREATE is not supported", HEADER),
    (Keyword::INSERT, "INSERT is not supported", HEADER),
    (Keyword::EXPLAIN, "EXPLAIN is not supported", "`tidewatch check --print` shows the settings of a job"),
];

const ONE_STREAM: &str = "a job reads one stream";
const NO_END: &str = "a stream has no last row";
const ONE_SELECT: &str = "a job is one SELECT, or several with UNION ALL in between";
const HEADER: &str = "a job is a SELECT; its sources and sinks are TOML";

/// It stands for a feature as aggregates do.
const LAG: &str = "lag";

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source<'a>, tokens: &[TokenWithSpan]) -> Self {
        let words = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_)));
        Reader { source, tokens: words.cloned().collect(), at: 0 }
    }

    pub(super) fn statements(mut self) -> Result<Vec<Statement>> {
        self.refuse_anywhere()?;
        let mut statements = vec![self.statement()?];
        while self.is_union_all(self.at) {
            self.at += 2;
            statements.push(self.statement()?);
        }
        if self.peek() == &Token::SemiColon {
            self.at += 1;
        }
        if self.peek() != &Token::EOF {
            return Err(self.unexpected("the end of the statement"));
        }
        Ok(statements)
    }

    fn statement(&mut self) -> Result<Statement> {
        let select = self.expect(Keyword::SELECT)?;
        if let Some(word) = self.word().filter(|word| is(word, Keyword::DISTINCT)) {
            let message = format!("SELECT {} is not supported", word.value.to_uppercase());
            return Err(self.error(message).help("each key has one row a window"));
        }
        self.accept(Keyword::ALL);
        let items = self.items()?;
        self.expect(Keyword::FROM)?;
        let windows = self.windows()?;
        if self.peek() == &Token::Comma {
            return Err(self
                .error("FROM has one stream")
                .help("a job reads one stream; UNION ALL has another kind of windows over it"));
        }
        // Another name of the windows, which `qualifiers` has taken off the columns.
        let named = self.accept(Keyword::AS).is_some();
        if named || self.word().is_some_and(can_be_alias) {
            self.name()?;
        }
        let condition = self.accept(Keyword::WHERE).map(|_| self.part()).transpose()?;
        let mut group = self.expect(Keyword::GROUP)?;
        group.end = self.expect(Keyword::BY)?.end;
        let keys = self.keys()?;
        let having = self.accept(Keyword::HAVING).map(|_| self.part()).transpose()?;
        let text = self.text(self.source.whole()).to_owned();
        Ok(Statement { text, select, items, windows, condition, group, keys, having })
    }

    /// What is refused wherever it stands, before the parser stumbles over it.
    fn refuse_anywhere(&mut self) -> Result<()> {
        for at in 0..self.tokens.len() {
            let Token::Word(word) = &self.tokens[at].token else { continue };
            let next = self.tokens.get(at + 1).map(|token| &token.token);
            let followed_by = |keyword| matches!(next, Some(Token::Word(next)) if is(next, keyword));
            let refused = word.quote_style.is_none()
                && match word.keyword {
                    Keyword::SELECT => at > 0 && !at.checked_sub(2).is_some_and(|at| self.is_union_all(at)),
                    Keyword::JOIN => true,
                    Keyword::UNION => !self.is_union_all(at),
                    Keyword::OVER => next == Some(&Token::LParen),
                    Keyword::ORDER => followed_by(Keyword::BY),
                    Keyword::WITH => at == 0,
                    _ => false,
                };
            if refused {
                self.at = at;
                if at > 0 && self.token(at - 1) == &Token::SemiColon {
                    return Err(self.error("a second statement").help(ONE_SELECT));
                }
                return Err(self.unexpected("nothing"));
            }
        }
        Ok(())
    }

    fn items(&mut self) -> Result<Vec<SelectItem>> {
        let mut items = Vec::new();
        loop {
            if self.peek() == &Token::Mul {
                return Err(self.error("`*` is not supported").help("name the columns of a row"));
            }
            let part = self.part()?;
            let name = self.accept(Keyword::AS).map(|_| self.name()).transpose()?;
            items.push(SelectItem { part, name });
            if !self.comma() {
                break;
            }
        }
        if !self.is_at(Keyword::FROM) {
            let error = self.unexpected("`,` or FROM");
            let alias = self.word().filter(|word| word.keyword == Keyword::NoKeyword);
            return Err(match alias {
                Some(word) if error.help.is_none() => error.help(format!("write `AS {word}`")),
                _ => error,
            });
        }
        Ok(items)
    }

    fn keys(&mut self) -> Result<Vec<Part>> {
        const GROUPINGS: [Keyword; 4] = [Keyword::ALL, Keyword::ROLLUP, Keyword::CUBE, Keyword::GROUPING];
        let mut keys = Vec::new();
        loop {
            if let Some(word) = self.word().filter(|word| GROUPINGS.iter().any(|keyword| is(word, *keyword)))
            {
                return Err(self.error(format!("GROUP BY {} is not supported", word.value.to_uppercase())));
            }
            if let Some(word) = self.word().filter(|_| self.peek_second() == &Token::LParen)
                && ["tumble", "hop", "session"].contains(&word.value.to_lowercase().as_str())
            {
                let help = format!("write FROM {word}(..) and GROUP BY .., window_start, window_end");
                return Err(self.error(format!("`{word}` stands behind FROM")).help(help));
            }
            keys.push(self.key()?);
            if !self.comma() {
                return Ok(keys);
            }
        }
    }

    /// A name, which may be one that an expression reads otherwise, as `user`, or an expression.
    fn key(&mut self) -> Result<Part> {
        let ends = match self.peek_second() {
            Token::Comma | Token::EOF | Token::SemiColon => true,
            Token::Word(word) => is(word, Keyword::HAVING) || is(word, Keyword::UNION),
            _ => false,
        };
        if let Some(name) = self.name_at(self.at).filter(|_| ends) {
            self.at += 1;
            return Ok(Part::of_name(name));
        }
        let part = self.part()?;
        if let Some(call) = part.aggregates.first() {
            let message = format!("the aggregate `{}` cannot stand in GROUP BY", call.function);
            return Err(ExpressionError::new(message, call.span.clone())
                .help("groups are made before anything is added up"));
        }
        if part.names.is_empty() {
            let message = "GROUP BY has names of columns and expressions over them";
            return Err(ExpressionError::new(message, part.span)
                .help("a key that is constant, under [transform], is all events together"));
        }
        Ok(part)
    }

    /// Whether `UNION ALL` stands there.
    fn is_union_all(&self, at: usize) -> bool {
        let is_word = |at, keyword| matches!(self.token(at), Token::Word(word) if is(word, keyword));
        is_word(at, Keyword::UNION) && is_word(at + 1, Keyword::ALL)
    }

    /// An expression, as far as it goes.
    pub(super) fn part(&mut self) -> Result<Part> {
        let start = self.at;
        let rest = self.tokens[start..].to_vec();
        let mut parser = Parser::new(&DuckDb)
            .with_recursion_limit(crate::source::NESTING_MAX)
            .with_tokens_with_locations(rest);
        parser.parse_expr().map_err(|error| self.source.parse_error(error, &self.tokens))?;
        self.at = start + parser.index();
        let end = self.at.min(self.tokens.len());
        let span = self.span_of(start).start..self.span_of(end - 1).end;
        let (mut aggregates, mut names) = (Vec::new(), Vec::new());
        let mut at = start;
        while at < end {
            let Some(name) = self.name_at(at) else {
                at += 1;
                continue;
            };
            let called = self.token(at + 1) == &Token::LParen;
            let member = at > start && self.token(at - 1) == &Token::Period;
            let written = name.text.to_lowercase();
            let function = AggregateFunction::from_name(&written).map(AggregateFunction::name);
            let function = function.or_else(|| (written == LAG).then_some(LAG));
            match function.filter(|_| called && !member) {
                Some(function) => {
                    let mut last = self.closing(at + 1);
                    let filter =
                        matches!(self.token(last + 1), Token::Word(word) if is(word, Keyword::FILTER));
                    if filter && self.token(last + 2) == &Token::LParen {
                        last = self.closing(last + 2);
                    }
                    let span = name.span.start..self.span_of(last).end;
                    aggregates.push(AggregateWords { function, span });
                    at = last + 1;
                }
                None => {
                    if !called && !member {
                        names.push(name);
                    }
                    at += 1;
                }
            }
        }
        let is_name = end == start + 1 && names.len() == 1;
        Ok(Part { span, words: self.words(start..end), aggregates, names, is_name })
    }

    /// Tokens as a text that is the same for any blanks, for functions in any case, and for both quotes of names.
    fn words(&self, tokens: Range<usize>) -> String {
        let word = |at: usize| match self.token(at) {
            Token::Word(word) if word.quote_style.is_some() => format!("\"{}\"", word.value),
            Token::Word(word) if self.token(at + 1) == &Token::LParen => word.value.to_lowercase(),
            token => token.to_string(),
        };
        tokens.map(word).collect::<Vec<_>>().join(" ")
    }

    /// The parenthesis that closes the one at that place; the parser has seen that there is one.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for at in open..self.tokens.len() {
            match self.token(at) {
                Token::LParen => depth += 1,
                Token::RParen if depth == 1 => return at,
                Token::RParen => depth -= 1,
                _ => {}
            }
        }
        self.tokens.len().saturating_sub(1)
    }

    /// The next word, as a name.
    pub(super) fn name(&mut self) -> Result<Name> {
        match self.name_at(self.at) {
            Some(name) => {
                self.at += 1;
                Ok(name)
            }
            None => Err(self.unexpected("a name")),
        }
    }

    fn name_at(&self, at: usize) -> Option<Name> {
        match self.token(at) {
            Token::Word(word) => Some(Name {
                text: word.value.clone(),
                span: self.span_of(at),
                plain: word.quote_style.is_none() && word.keyword == Keyword::NoKeyword,
            }),
            _ => None,
        }
    }

    pub(super) fn comma(&mut self) -> bool {
        let found = self.peek() == &Token::Comma;
        self.at += usize::from(found);
        found
    }

    /// Goes past that token.
    pub(super) fn symbol(&mut self, token: &Token) -> Result<Range<usize>> {
        if self.peek() != token {
            return Err(self.unexpected(&format!("`{token}`")));
        }
        self.at += 1;
        Ok(self.span_of(self.at - 1))
    }

    /// Goes past that word if it is there.
    pub(super) fn accept(&mut self, keyword: Keyword) -> Option<Range<usize>> {
        self.is_at(keyword).then(|| {
            self.at += 1;
            self.span_of(self.at - 1)
        })
    }

    pub(super) fn expect(&mut self, keyword: Keyword) -> Result<Range<usize>> {
        self.accept(keyword).ok_or_else(|| self.unexpected(&format!("{keyword:?}")))
    }

    pub(super) fn is_at(&self, keyword: Keyword) -> bool {
        self.word().is_some_and(|word| is(word, keyword))
    }

    pub(super) fn word(&self) -> Option<&Word> {
        match self.peek() {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn peek(&self) -> &Token {
        self.token(self.at)
    }

    pub(super) fn peek_second(&self) -> &Token {
        self.token(self.at + 1)
    }

    fn token(&self, at: usize) -> &Token {
        self.tokens.get(at).map_or(&Token::EOF, |token| &token.token)
    }

    /// Where the next token stands.
    pub(super) fn here(&self) -> Range<usize> {
        self.span_of(self.at)
    }

    fn span_of(&self, at: usize) -> Range<usize> {
        match self.tokens.get(at) {
            Some(token) => self.source.range(token.span),
            None => self.source.whole().end..self.source.whole().end,
        }
    }

    pub(super) fn text(&self, span: Range<usize>) -> &'a str {
        self.source.text(span)
    }

    /// An error at the next token.
    pub(super) fn error(&self, message: impl Into<String>) -> ExpressionError {
        ExpressionError::new(message, self.here())
    }

    /// The next token is not what can stand there.
    pub(super) fn unexpected(&self, expected: &str) -> ExpressionError {
        if let Some(word) = self.word().filter(|_| !self.is_union_all(self.at))
            && let Some((_, message, help)) = REFUSED.iter().find(|(keyword, ..)| is(word, *keyword))
        {
            return self.error(*message).help(*help);
        }
        match self.peek() {
            Token::EOF => self.error(format!("expected {expected}, found the end")),
            token => self.error(format!("expected {expected}, found `{token}`")),
        }
    }
}

fn is(word: &Word, keyword: Keyword) -> bool {
    word.quote_style.is_none() && word.keyword == keyword
}
