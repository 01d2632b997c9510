import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.SecureRandom;
import java.security.Security;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.spec.ECGenParameterSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.KeyGenerator;
import javax.crypto.Mac;
import javax.crypto.SecretKey;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/** What Java programs do with a token through SunPKCS11: {@code java Use.java <java.cfg> <pin> <rsa alias> <ec alias>}. */
public final class Use {
    private static final byte[] MESSAGE = "what Java signs in the token".getBytes();

    private static Provider token;
    private static KeyStore store;
    private static char[] pin;

    public static void main(String[] arguments) throws Exception {
        token = Security.getProvider("SunPKCS11").configure(arguments[0]);
        Security.addProvider(token);
        pin = arguments[1].toCharArray();
        store = KeyStore.getInstance("PKCS11", token);
        store.load(null, pin);
        String rsa = arguments[2];
        String ec = arguments[3];

        signs(rsa, "SHA256withRSA", "SHA512withRSA", "SHA1withRSA");
        signs(ec, "SHA256withECDSA", "SHA384withECDSA");
        decrypts(rsa);
        encrypts();
        macs();
        digests();
        agrees("secp256r1");
        agrees("secp384r1");
        keeps();
        threads(rsa, ec);
        System.out.println("Java is content");
    }

    private static void check(boolean fact, String what) {
        if (!fact) {
            throw new AssertionError(what);
        }
    }

    /** Signs in the token; a provider that knows no token verifies. */
    private static void signs(String alias, String... algorithms) throws Exception {
        PrivateKey key = (PrivateKey) store.getKey(alias, pin);
        Certificate certificate = store.getCertificate(alias);
        check(key != null && certificate != null, "the key store lists " + alias);
        for (String algorithm : algorithms) {
            Signature signer = Signature.getInstance(algorithm, token);
            signer.initSign(key);
            signer.update(MESSAGE, 0, 5);
            signer.update(MESSAGE, 5, MESSAGE.length - 5);
            byte[] signature = signer.sign();
            for (Provider judge : new Provider[] {Security.getProvider(alias.startsWith("rsa") ? "SunRsaSign" : "SunEC"), token}) {
                Signature verifier = Signature.getInstance(algorithm, judge);
                verifier.initVerify(certificate.getPublicKey());
                verifier.update(MESSAGE);
                check(verifier.verify(signature), algorithm + " is believed by " + judge.getName());
                verifier.initVerify(certificate.getPublicKey());
                verifier.update(new byte[] {1, 2, 3});
                check(!verifier.verify(signature), algorithm + " of something else is refused by " + judge.getName());
            }
        }
    }

    private static void decrypts(String alias) throws Exception {
        Cipher seal = Cipher.getInstance("RSA/ECB/PKCS1Padding", "SunJCE");
        seal.init(Cipher.ENCRYPT_MODE, store.getCertificate(alias).getPublicKey());
        byte[] sealed = seal.doFinal(MESSAGE);
        Cipher open = Cipher.getInstance("RSA/ECB/PKCS1Padding", token);
        open.init(Cipher.DECRYPT_MODE, store.getKey(alias, pin));
        check(Arrays.equals(open.doFinal(sealed), MESSAGE), "RSA decrypts");
    }

    private static void encrypts() throws Exception {
        KeyGenerator generator = KeyGenerator.getInstance("AES", token);
        generator.init(256);
        SecretKey key = generator.generateKey();
        byte[] iv = new byte[16];
        Cipher cbc = Cipher.getInstance("AES/CBC/PKCS5Padding", token);
        cbc.init(Cipher.ENCRYPT_MODE, key, new IvParameterSpec(iv));
        byte[] sealed = cbc.doFinal(MESSAGE);
        cbc.init(Cipher.DECRYPT_MODE, key, new IvParameterSpec(iv));
        check(Arrays.equals(cbc.doFinal(sealed), MESSAGE), "CBC round trip");
        Cipher ctr = Cipher.getInstance("AES/CTR/NoPadding", token);
        ctr.init(Cipher.ENCRYPT_MODE, key, new IvParameterSpec(iv));
        sealed = ctr.doFinal(MESSAGE);
        ctr.init(Cipher.DECRYPT_MODE, key, new IvParameterSpec(iv));
        check(Arrays.equals(ctr.doFinal(sealed), MESSAGE), "CTR round trip");
        // A key that Java knows is imported, and SunJCE computes the same.
        SecretKeySpec known = new SecretKeySpec(new byte[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, "AES");
        byte[][] results = new byte[2][];
        Provider[] both = {token, Security.getProvider("SunJCE")};
        for (int n = 0; n < 2; n++) {
            Cipher gcm = Cipher.getInstance("AES/GCM/NoPadding", both[n]);
            gcm.init(Cipher.ENCRYPT_MODE, known, new GCMParameterSpec(128, new byte[12]));
            gcm.updateAAD(MESSAGE);
            results[n] = gcm.doFinal(MESSAGE);
        }
        check(Arrays.equals(results[0], results[1]), "GCM agrees with SunJCE");
        Cipher gcm = Cipher.getInstance("AES/GCM/NoPadding", token);
        gcm.init(Cipher.DECRYPT_MODE, known, new GCMParameterSpec(128, new byte[12]));
        gcm.updateAAD(MESSAGE);
        check(Arrays.equals(gcm.doFinal(results[1]), MESSAGE), "GCM decrypts");
    }

    private static void macs() throws Exception {
        SecretKeySpec key = new SecretKeySpec(new byte[64], "HmacSHA256");
        for (String algorithm : new String[] {"HmacSHA1", "HmacSHA256", "HmacSHA384", "HmacSHA512"}) {
            Mac ours = Mac.getInstance(algorithm, token);
            Mac theirs = Mac.getInstance(algorithm, "SunJCE");
            ours.init(key);
            theirs.init(key);
            check(Arrays.equals(ours.doFinal(MESSAGE), theirs.doFinal(MESSAGE)), algorithm + " agrees with SunJCE");
        }
    }

    private static void digests() throws Exception {
        for (String algorithm : new String[] {"SHA-1", "SHA-256", "SHA-512"}) {
            MessageDigest ours = MessageDigest.getInstance(algorithm, token);
            MessageDigest theirs = MessageDigest.getInstance(algorithm, "SUN");
            ours.update(MESSAGE);
            theirs.update(MESSAGE);
            if (!Boolean.getBoolean("stand.in")) {
                // A clone goes its own way: SunPKCS11 uses the operation state.
                MessageDigest clone = (MessageDigest) ours.clone();
                clone.update((byte) 1);
                MessageDigest other = (MessageDigest) theirs.clone();
                other.update((byte) 1);
                check(Arrays.equals(clone.digest(), other.digest()), algorithm + " can be cloned");
            }
            check(Arrays.equals(ours.digest(), theirs.digest()), algorithm + " agrees with SUN");
        }
    }

    /** One side in the token, the other in Java. */
    private static void agrees(String curve) throws Exception {
        KeyPairGenerator inside = KeyPairGenerator.getInstance("EC", token);
        inside.initialize(new ECGenParameterSpec(curve));
        KeyPair ours = inside.generateKeyPair();
        KeyPairGenerator outside = KeyPairGenerator.getInstance("EC", "SunEC");
        outside.initialize(new ECGenParameterSpec(curve));
        KeyPair theirs = outside.generateKeyPair();
        KeyAgreement here = KeyAgreement.getInstance("ECDH", token);
        here.init(ours.getPrivate());
        here.doPhase(theirs.getPublic(), true);
        KeyAgreement there = KeyAgreement.getInstance("ECDH", "SunEC");
        there.init(theirs.getPrivate());
        there.doPhase(ours.getPublic(), true);
        check(Arrays.equals(here.generateSecret(), there.generateSecret()), "ECDH on " + curve);
    }

    /** A secret key is stored, found by another key store, used and deleted. */
    private static void keeps() throws Exception {
        SecretKeySpec value = new SecretKeySpec(new byte[32], "AES");
        store.setEntry("kept", new KeyStore.SecretKeyEntry(value), new KeyStore.PasswordProtection(pin));
        KeyStore again = KeyStore.getInstance("PKCS11", token);
        again.load(null, pin);
        check(again.containsAlias("kept"), "a stored key is listed");
        SecretKey key = (SecretKey) again.getKey("kept", pin);
        Cipher ecb = Cipher.getInstance("AES/ECB/NoPadding", token);
        ecb.init(Cipher.ENCRYPT_MODE, key);
        Cipher plain = Cipher.getInstance("AES/ECB/NoPadding", "SunJCE");
        plain.init(Cipher.ENCRYPT_MODE, value);
        check(Arrays.equals(ecb.doFinal(new byte[16]), plain.doFinal(new byte[16])), "a stored key computes as before");
        again.deleteEntry("kept");
        store.load(null, pin);
        check(!store.containsAlias("kept"), "a deleted key is gone");
    }

    private static void threads(String rsa, String ec) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(8);
        List<Future<Void>> results = new ArrayList<>();
        for (int n = 0; n < 8; n++) {
            Callable<Void> work = () -> {
                for (int round = 0; round < 10; round++) {
                    signs(ec, "SHA256withECDSA");
                    signs(rsa, "SHA256withRSA");
                    encrypts();
                    macs();
                    SecureRandom.getInstance("PKCS11", token).nextBytes(new byte[64]);
                }
                return null;
            };
            results.add(pool.submit(work));
        }
        for (Future<Void> result : results) {
            result.get();
        }
        pool.shutdown();
    }
}
