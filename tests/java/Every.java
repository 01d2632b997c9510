import java.security.AlgorithmParameters;
import java.security.InvalidAlgorithmParameterException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.Provider;
import java.security.PublicKey;
import java.security.Security;
import java.security.Signature;
import java.security.spec.AlgorithmParameterSpec;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.KeyGenerator;
import javax.crypto.Mac;
import javax.crypto.SecretKey;
import javax.crypto.interfaces.DHPublicKey;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Every algorithm that SunPKCS11 offers for the token, judged by the JDK's own providers wherever one has it too:
 * {@code java Every.java <java.cfg> <pin>}.
 */
public final class Every {
    private static final byte[] MESSAGE = "sixteen or more!".repeat(3).getBytes();

    private static Provider token;
    private static final List<String> seen = new ArrayList<>();
    private static int judged;

    public static void main(String[] arguments) throws Exception {
        token = Security.getProvider("SunPKCS11").configure(arguments[0]);
        Security.addProvider(token);
        KeyStore.getInstance("PKCS11", token).load(null, arguments[1].toCharArray());
        KeyPair rsa = pair("RSA", null, 2048);
        List<KeyPair> curves = new ArrayList<>();
        for (String curve : new String[] {"secp256r1", "secp384r1", "secp521r1"}) {
            curves.add(pair("EC", new ECGenParameterSpec(curve), 0));
        }
        for (Provider.Service service : token.getServices()) {
            String name = service.getAlgorithm();
            switch (service.getType()) {
                case "Signature":
                    if (name.contains("ECDSA")) {
                        for (KeyPair pair : curves) {
                            sign(name, pair, "SunEC");
                        }
                    } else if (name.startsWith("SHA3-") && name.endsWith("RSASSA-PSS")) {
                        // JDK 17 offers these, and cannot hand their parameters to any module.
                    } else if (name.contains("RSA")) {
                        sign(name, rsa, "SunRsaSign");
                    }
                    break;
                case "Cipher":
                    encrypt(name, rsa);
                    break;
                case "Mac":
                    mac(name);
                    break;
                case "MessageDigest":
                    digest(name);
                    break;
                case "KeyAgreement":
                    agree(name, curves);
                    break;
                case "KeyGenerator":
                    // What TLS alone asks for, with parameters of its own; Handshake.java does.
                    if (name.startsWith("SunTls")) break;
                    SecretKey made = KeyGenerator.getInstance(name, token).generateKey();
                    check(made != null, name + " key");
                    break;
                default:
            }
        }
        for (String wanted : "SHA256withRSA SHA512withRSASSA-PSS SHA384withECDSA AES/GCM/NoPadding AES/CBC/PKCS5Padding HmacSHA256 SHA-512 ECDH".split(" ")) {
            check(seen.contains(wanted), wanted + " is offered");
        }
        System.out.println(seen.size() + " algorithms, " + judged + " results judged: " + String.join(" ", seen));
        System.out.println("Java is content with every one");
    }

    private static void check(boolean fact, String what) {
        if (!fact) {
            throw new AssertionError(what);
        }
    }

    private static KeyPair pair(String kind, AlgorithmParameterSpec spec, int size) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance(kind, token);
        if (spec == null) {
            generator.initialize(size);
        } else {
            generator.initialize(spec);
        }
        return generator.generateKeyPair();
    }

    /** A public key as a provider takes it that knows no token. */
    private static PublicKey outside(PublicKey key, String provider) throws Exception {
        return KeyFactory.getInstance(key.getAlgorithm(), provider).generatePublic(new X509EncodedKeySpec(key.getEncoded()));
    }

    private static PSSParameterSpec pss(String name) {
        if (!name.endsWith("RSASSA-PSS")) {
            return null;
        }
        String hash = name.equals("RSASSA-PSS") ? "SHA256" : name.substring(0, name.indexOf("with"));
        int length = hash.equals("SHA1") ? 20 : Integer.parseInt(hash.substring(hash.length() - 3)) / 8;
        String standard = hash.startsWith("SHA3-") ? hash : "SHA-" + hash.substring(3);
        return new PSSParameterSpec(standard, "MGF1", new MGF1ParameterSpec(standard), length, 1);
    }

    private static void sign(String name, KeyPair pair, String provider) throws Exception {
        PSSParameterSpec parameters = pss(name);
        byte[] message = name.startsWith("NONE") ? Arrays.copyOf(MESSAGE, 20) : MESSAGE;
        Signature signer = Signature.getInstance(name, token);
        if (parameters != null) {
            signer.setParameter(parameters);
        }
        signer.initSign(pair.getPrivate());
        signer.update(message);
        byte[] signature = signer.sign();
        check(verifies(Signature.getInstance(name, token), parameters, pair.getPublic(), message, signature), name + " is believed by the token");
        try {
            Signature judge = Signature.getInstance(parameters == null ? name : "RSASSA-PSS", provider);
            PublicKey key = outside(pair.getPublic(), provider);
            check(verifies(judge, parameters, key, message, signature), name + " is believed by " + provider);
            judged++;
        } catch (NoSuchAlgorithmException | InvalidAlgorithmParameterException unknown) {
            // The JDK's own provider does not have it.
        }
        if (!seen.contains(name)) {
            seen.add(name);
        }
    }

    private static boolean verifies(Signature judge, PSSParameterSpec parameters, PublicKey key, byte[] message, byte[] signature)
            throws Exception {
        if (parameters != null) {
            judge.setParameter(parameters);
        }
        judge.initVerify(key);
        judge.update(new byte[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20});
        boolean other = judge.verify(signature);
        judge.initVerify(key);
        judge.update(message);
        return judge.verify(signature) && !other;
    }

    private static void encrypt(String name, KeyPair rsa) throws Exception {
        Cipher cipher = Cipher.getInstance(name, token);
        if (name.startsWith("RSA/")) {
            boolean raw = name.contains("NoPadding");
            byte[] message = raw ? new byte[256] : MESSAGE;
            message[message.length - 1] = 7;
            cipher.init(Cipher.ENCRYPT_MODE, rsa.getPublic());
            byte[] sealed = cipher.doFinal(message);
            cipher.init(Cipher.DECRYPT_MODE, rsa.getPrivate());
            check(Arrays.equals(cipher.doFinal(sealed), message), name);
            Cipher judge = Cipher.getInstance(name, "SunJCE");
            judge.init(Cipher.ENCRYPT_MODE, outside(rsa.getPublic(), "SunRsaSign"));
            check(Arrays.equals(cipher.doFinal(judge.doFinal(message)), message), name + " agrees with SunJCE");
            judged++;
        } else if (name.startsWith("AES")) {
            int fixed = name.startsWith("AES_") ? Integer.parseInt(name.substring(4, 7)) : 0;
            for (int bits : fixed == 0 ? new int[] {128, 192, 256} : new int[] {fixed}) {
                SecretKey key = new SecretKeySpec(Arrays.copyOf(MESSAGE, bits / 8), "AES");
                AlgorithmParameterSpec spec = null;
                if (name.contains("GCM")) {
                    spec = new GCMParameterSpec(128, new byte[12]);
                } else if (!name.contains("ECB")) {
                    spec = new IvParameterSpec(new byte[16]);
                }
                byte[] ours = crypt(cipher, Cipher.ENCRYPT_MODE, key, spec, MESSAGE);
                byte[] theirs = crypt(Cipher.getInstance(name, "SunJCE"), Cipher.ENCRYPT_MODE, key, spec, MESSAGE);
                check(Arrays.equals(ours, theirs), name + " agrees with SunJCE");
                cipher = Cipher.getInstance(name, token);
                check(Arrays.equals(crypt(cipher, Cipher.DECRYPT_MODE, key, spec, theirs), MESSAGE), name + " decrypts");
                cipher = Cipher.getInstance(name, token);
                judged++;
            }
        } else {
            return;
        }
        seen.add(name);
    }

    /** In two pieces, so that what is left over between them counts. */
    private static byte[] crypt(Cipher cipher, int mode, Key key, AlgorithmParameterSpec spec, byte[] text) throws Exception {
        cipher.init(mode, key, spec);
        byte[] first = cipher.update(text, 0, 21);
        byte[] last;
        if (cipher.getAlgorithm().contains("GCM")) {
            // JDK 17's SunPKCS11 forgets what is handed to doFinal after an update, whatever the module.
            check(first == null || first.length == 0 || cipher.getProvider() != token, "GCM gives nothing before its end");
            byte[] more = cipher.update(text, 21, text.length - 21);
            first = concat(first, more);
            last = cipher.doFinal();
        } else {
            last = cipher.doFinal(text, 21, text.length - 21);
        }
        return concat(first, last);
    }

    private static byte[] concat(byte[] first, byte[] last) {
        if (first == null || last == null) {
            return first == null ? last : first;
        }
        byte[] all = Arrays.copyOf(first, first.length + last.length);
        System.arraycopy(last, 0, all, all.length - last.length, last.length);
        return all;
    }

    private static void mac(String name) throws Exception {
        Mac ours = Mac.getInstance(name, token);
        Mac theirs = Mac.getInstance(name, "SunJCE");
        for (int length : new int[] {16, 64, 200}) {
            SecretKey key = new SecretKeySpec(Arrays.copyOf(MESSAGE, length), name);
            ours.init(key);
            theirs.init(key);
            ours.update(MESSAGE, 0, 7);
            ours.update(MESSAGE, 7, MESSAGE.length - 7);
            check(Arrays.equals(ours.doFinal(), theirs.doFinal(MESSAGE)), name + " agrees with SunJCE");
            judged++;
        }
        seen.add(name);
    }

    private static void digest(String name) throws Exception {
        MessageDigest ours = MessageDigest.getInstance(name, token);
        for (int length : new int[] {0, 1, 137, 10_000}) {
            byte[] message = new byte[length];
            check(Arrays.equals(ours.digest(message), MessageDigest.getInstance(name, "SUN").digest(message)), name + " agrees with SUN");
            judged++;
        }
        seen.add(name);
    }

    private static void agree(String name, List<KeyPair> curves) throws Exception {
        if (name.equals("ECDH")) {
            for (KeyPair ours : curves) {
                AlgorithmParameters curve = AlgorithmParameters.getInstance("EC", "SunEC");
                curve.init(((java.security.interfaces.ECKey) ours.getPublic()).getParams());
                KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", "SunEC");
                generator.initialize(curve.getParameterSpec(ECGenParameterSpec.class));
                agree(name, ours, generator.generateKeyPair(), "SunEC");
            }
        } else if (name.equals("DH") && token.getService("KeyPairGenerator", "DH") != null) {
            KeyPair ours = pair("DH", null, 2048);
            KeyPairGenerator generator = KeyPairGenerator.getInstance("DH", "SunJCE");
            generator.initialize(((DHPublicKey) outside(ours.getPublic(), "SunJCE")).getParams());
            agree(name, ours, generator.generateKeyPair(), "SunJCE");
        } else {
            return;
        }
        seen.add(name);
    }

    private static void agree(String name, KeyPair ours, KeyPair theirs, String provider) throws Exception {
        KeyAgreement here = KeyAgreement.getInstance(name, token);
        here.init(ours.getPrivate());
        here.doPhase(theirs.getPublic(), true);
        KeyAgreement there = KeyAgreement.getInstance(name, provider);
        there.init(theirs.getPrivate());
        there.doPhase(outside(ours.getPublic(), provider), true);
        check(Arrays.equals(here.generateSecret(), there.generateSecret()), name + " agrees with " + provider);
        // And as a key that a cipher takes at once, which is how TLS asks.
        here.init(ours.getPrivate());
        here.doPhase(theirs.getPublic(), true);
        check(here.generateSecret("TlsPremasterSecret") != null, name + " makes a premaster secret");
        judged++;
    }
}
