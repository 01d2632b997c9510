//! Just enough of a language to write the evaluator in: expressions and blocks become WebAssembly instructions.

use wasm_encoder::{BlockType, Function, Instruction as I, MemArg, ValType};

/// An expression: instructions that leave its value on the stack.
#[derive(Clone)]
pub(super) struct Expr(Vec<I<'static>>);

/// A local variable or parameter.
#[derive(Clone, Copy)]
pub(super) struct Local(u32);

/// A function of the module.
#[derive(Clone, Copy)]
pub(super) struct Func(pub(super) u32);

pub(super) fn int(value: u32) -> Expr {
    Expr(vec![I::I32Const(value.cast_signed())])
}

pub(super) fn long(value: u64) -> Expr {
    Expr(vec![I::I64Const(value.cast_signed())])
}

/// The value of a call.
pub(super) fn call(function: Func, arguments: impl IntoIterator<Item = Expr>) -> Expr {
    let mut code: Vec<I<'static>> = arguments.into_iter().flat_map(|argument| argument.0).collect();
    code.push(I::Call(function.0));
    Expr(code)
}

impl Local {
    pub(super) fn get(self) -> Expr {
        Expr(vec![I::LocalGet(self.0)])
    }

    /// The 32-bit word at this address and offset.
    pub(super) fn word(self, offset: u32) -> Expr {
        self.get().word(offset)
    }
}

/// Methods that append an instruction, and one operand before it where there are two.
macro_rules! instructions {
    (unary: $($one:ident $one_code:ident),*; binary: $($two:ident $two_code:ident),*; load: $($load:ident $load_code:ident),*) => {
        impl Expr {
            $(pub(super) fn $one(mut self) -> Self {
                self.0.push(I::$one_code);
                self
            })*
            $(pub(super) fn $two(mut self, other: Self) -> Self {
                self.0.extend(other.0);
                self.0.push(I::$two_code);
                self
            })*
            $(pub(super) fn $load(mut self, offset: u32) -> Self {
                self.0.push(I::$load_code(MemArg { offset: offset.into(), align: 0, memory_index: 0 }));
                self
            })*
        }
    };
}

instructions! {
    unary: zero I32Eqz, widened I64ExtendI32U, narrowed I32WrapI64, zero64 I64Eqz, ones I32Popcnt;
    binary: add I32Add, sub I32Sub, mul I32Mul, and I32And, or I32Or, xor I32Xor, shl I32Shl, shr I32ShrU, eq I32Eq, ne I32Ne, lt I32LtU,
        le I32LeU, gt I32GtU, ge I32GeU, add64 I64Add, mul64 I64Mul, and64 I64And, or64 I64Or, xor64 I64Xor,
        shl64 I64Shl, shr64 I64ShrU, div64 I64DivU, rem64 I64RemU, eq64 I64Eq, ne64 I64Ne, le64 I64LeU, ge64 I64GeU;
    load: byte I32Load8U, word I32Load, long I64Load
}

/// What makes the code of one case.
pub(super) type Branch<'a> = Box<dyn FnOnce(&mut Body) + 'a>;

/// A block that can be left, or a loop that can be begun again.
#[derive(Clone, Copy)]
pub(super) struct Label(u32);

/// The body of a function.
pub(super) struct Body {
    code: Vec<I<'static>>,
    parameters: u32,
    locals: Vec<ValType>,
    depth: u32,
}

impl Body {
    pub(super) fn new(parameters: u32) -> Self {
        Self { code: Vec::new(), parameters, locals: Vec::new(), depth: 0 }
    }

    /// A parameter.
    pub(super) fn parameter(&self, place: u32) -> Local {
        Local(place)
    }

    /// A new variable of 32 bits, with this value.
    pub(super) fn int(&mut self, value: Expr) -> Local {
        self.local(ValType::I32, value)
    }

    /// A new variable of 64 bits, with this value.
    pub(super) fn long(&mut self, value: Expr) -> Local {
        self.local(ValType::I64, value)
    }

    fn local(&mut self, kind: ValType, value: Expr) -> Local {
        let local = Local(self.parameters + u32::try_from(self.locals.len()).unwrap_or(u32::MAX));
        self.locals.push(kind);
        self.set(local, value);
        local
    }

    pub(super) fn set(&mut self, local: Local, value: Expr) {
        self.code.extend(value.0);
        self.code.push(I::LocalSet(local.0));
    }

    pub(super) fn give(&mut self, value: Expr) {
        self.code.extend(value.0);
        self.code.push(I::Return);
    }

    pub(super) fn give_if(&mut self, condition: Expr, value: Expr) {
        self.when(condition, |body| body.give(value));
    }

    pub(super) fn when(&mut self, condition: Expr, then: impl FnOnce(&mut Self)) {
        self.code.extend(condition.0);
        self.nested(I::If(BlockType::Empty), then);
    }

    pub(super) fn either(&mut self, condition: Expr, then: impl FnOnce(&mut Self), otherwise: impl FnOnce(&mut Self)) {
        self.code.extend(condition.0);
        self.code.push(I::If(BlockType::Empty));
        self.depth += 1;
        then(self);
        self.code.push(I::Else);
        otherwise(self);
        self.depth -= 1;
        self.code.push(I::End);
    }

    /// A block that [`Self::go_if`] leaves.
    pub(super) fn block(&mut self, inner: impl FnOnce(&mut Self, Label)) {
        let label = Label(self.depth);
        self.nested(I::Block(BlockType::Empty), |body| inner(body, label));
    }

    /// A loop that [`Self::go`] begins again; it ends where nothing does.
    pub(super) fn repeat(&mut self, inner: impl FnOnce(&mut Self, Label)) {
        let label = Label(self.depth);
        self.nested(I::Loop(BlockType::Empty), |body| inner(body, label));
    }

    /// As long as `condition` holds.
    pub(super) fn as_long_as(&mut self, condition: Expr, inner: impl FnOnce(&mut Self)) {
        self.repeat(|body, again| {
            body.when(condition, |body| {
                inner(body);
                body.go(again);
            });
        });
    }

    fn nested(&mut self, opening: I<'static>, inner: impl FnOnce(&mut Self)) {
        self.code.push(opening);
        self.depth += 1;
        inner(self);
        self.depth -= 1;
        self.code.push(I::End);
    }

    pub(super) fn go(&mut self, label: Label) {
        self.code.push(I::Br(self.depth - label.0 - 1));
    }

    pub(super) fn go_if(&mut self, label: Label, condition: Expr) {
        self.code.extend(condition.0);
        self.code.push(I::BrIf(self.depth - label.0 - 1));
    }

    /// Runs one of `cases` by its number; none where it is larger.
    pub(super) fn choose(&mut self, number: Expr, cases: Vec<Branch<'_>>) {
        let count = u32::try_from(cases.len()).unwrap_or(0);
        let outer = self.depth;
        for _ in 0..=count {
            self.code.push(I::Block(BlockType::Empty));
            self.depth += 1;
        }
        self.code.extend(number.0);
        self.code.push(I::BrTable((0..count).collect(), count));
        for case in cases {
            self.depth -= 1;
            self.code.push(I::End);
            case(self);
            // Past the other cases.
            self.code.push(I::Br(self.depth - outer - 1));
        }
        self.depth -= 1;
        self.code.push(I::End);
    }

    /// The function. What never gives a value traps.
    pub(super) fn finish(mut self) -> Function {
        let mut function = Function::new_with_locals_types(std::mem::take(&mut self.locals));
        for instruction in &self.code {
            function.instruction(instruction);
        }
        function.instruction(&I::Unreachable);
        function.instruction(&I::End);
        function
    }
}
