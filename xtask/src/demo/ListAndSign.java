import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Provider;
import java.security.Security;
import java.security.Signature;
import java.util.Collections;

/** Signs with every key of a PKCS#11 token that has a certificate; software verifies. The PIN is in KMSS_PIN. */
public class ListAndSign {
    public static void main(String[] args) throws Exception {
        Provider token = Security.getProvider("SunPKCS11").configure(args[0]);
        KeyStore store = KeyStore.getInstance("PKCS11", token);
        store.load(null, System.getenv("KMSS_PIN").toCharArray());
        byte[] message = "signed by Java with a key that it never saw".getBytes(StandardCharsets.UTF_8);
        for (String alias : Collections.list(store.aliases())) {
            if (!store.isKeyEntry(alias)) {
                continue;
            }
            PrivateKey key = (PrivateKey) store.getKey(alias, null);
            boolean curve = key.getAlgorithm().equals("EC");
            String algorithm = curve ? "SHA256withECDSA" : "SHA256withRSA";
            Signature signer = Signature.getInstance(algorithm, token);
            signer.initSign(key);
            signer.update(message);
            byte[] signature = signer.sign();
            Signature verifier = Signature.getInstance(algorithm, curve ? "SunEC" : "SunRsaSign");
            verifier.initVerify(store.getCertificate(alias));
            verifier.update(message);
            if (!verifier.verify(signature)) {
                throw new IllegalStateException("wrong signature by " + alias);
            }
            System.out.println(alias + " " + algorithm);
        }
    }
}
