;; Changes nothing, so that its instances are used again. What it does depends on the action.
(module
  (memory (export "memory") 1 1)
  (func (export "kmss_abi") (result i32) i32.const 0x10000)
  (func (export "kmss_buf") (result i32) i32.const 1024)
  (func (export "kmss_decide") (param $len i32) (result i64)
    (local $action i32)
    (local.set $action (i32.load (i32.const 1032)))
    ;; sign: allowed by rule 7
    (if (i32.eq (local.get $action) (i32.const 5)) (then (return (i64.const 0x701))))
    ;; digest: allowed by rule 1, with duties
    (if (i32.eq (local.get $action) (i32.const 14)) (then (return (i64.const 0x0000800000000101))))
    ;; generate: the rule is what stands at offset 376 of the buffer
    (if (i32.eq (local.get $action) (i32.const 2))
      (then (return (i64.or (i64.const 1) (i64.shl (i64.load16_u (i32.const 1400)) (i64.const 8))))))
    ;; random: never
    (if (i32.eq (local.get $action) (i32.const 15)) (then (loop $again (br $again))))
    ;; find: not applicable
    (if (i32.eq (local.get $action) (i32.const 1)) (then (return (i64.const 2))))
    ;; everything else: denied by rule 8, which has a name and a reason
    (i64.const 0x800))
  ;; an audit tag, and a critical rate limit
  (data (i32.const 32768) "\17\00\00\00\01\00\03\00pci\02\80\08\00\64\00\00\00\3c\00\00\00")
  (@custom "kmss.rules" "\01\00\00\00\01\00\00\00\08\00\00\00\1c\00\00\00\0a\00\00\00\26\00\00\00\07\00\00\00a.kp:3 devnot you"))
