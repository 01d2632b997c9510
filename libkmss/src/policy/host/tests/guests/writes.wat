;; Counts its decisions, as it believes: signing in its memory, everything else in a global. The count is the rule.
(module
  (memory (export "memory") 1 1)
  (global $count (mut i32) (i32.const 0))
  (func (export "kmss_abi") (result i32) i32.const 0x10000)
  (func (export "kmss_buf") (result i32) i32.const 1024)
  (func (export "kmss_decide") (param $len i32) (result i64)
    (if (i32.eq (i32.load (i32.const 1032)) (i32.const 5))
      (then
        (i32.store (i32.const 40000) (i32.add (i32.load (i32.const 40000)) (i32.const 1)))
        (return (i64.or (i64.const 1) (i64.shl (i64.load32_u (i32.const 40000)) (i64.const 8))))))
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i64.or (i64.const 1) (i64.shl (i64.extend_i32_u (global.get $count)) (i64.const 8)))))
