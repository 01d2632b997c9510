// What Go programs do with a token, by way of miekg/pkcs11 and crypto11: kmss-go MODULE TOKEN PIN, with the key pairs
// `rsa1` (RSA 2048) and `ec1` (EC P-256, CKA_ID 02) in the token.
package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"os"
	"sync"
	"time"

	"github.com/ThalesIgnite/crypto11"
	"github.com/miekg/pkcs11"
)

var message = []byte("what Go signs in the token")

// check ends the program where a fact does not hold or a call failed.
func check(err error, holds bool, what string) {
	if err != nil || !holds {
		fmt.Fprintf(os.Stderr, "%s: %v, %v\n", what, holds, err)
		os.Exit(1)
	}
}

func main() {
	module, token, pin := os.Args[1], os.Args[2], os.Args[3]
	plain(module, token, pin)
	context, err := crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: token, Pin: pin})
	check(err, true, "crypto11 finds the token")
	r, err := context.FindKeyPair(nil, []byte("rsa1"))
	check(err, r != nil, "rsa1 is found")
	e, err := context.FindKeyPair(nil, []byte("ec1"))
	check(err, e != nil, "ec1 is found")
	signs(r, e)
	decrypts(r.(crypto11.SignerDecrypter))
	generates(context)
	secrets(context)
	certificate := selfSigned(e)
	check(context.ImportCertificateWithLabel([]byte{2}, []byte("ec1"), certificate), true, "a certificate is kept")
	found, err := context.FindCertificate(nil, []byte("ec1"), nil)
	check(err, found != nil && found.Equal(certificate), "a certificate is found")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		serves(r, version)
		serves(e, version)
	}
	threads(r, e)
	check(context.Close(), true, "the context ends")
	fmt.Println("Go is content")
}

// plain uses miekg/pkcs11 as it is.
func plain(module, token, pin string) {
	p := pkcs11.New(module)
	check(nil, p != nil, "the module loads")
	check(p.Initialize(), true, "C_Initialize")
	info, err := p.GetInfo()
	check(err, info.ManufacturerID != "", "C_GetInfo")
	slots, err := p.GetSlotList(true)
	check(err, len(slots) > 0, "C_GetSlotList")
	var slot uint
	for _, s := range slots {
		if info, err := p.GetTokenInfo(s); err == nil && info.Label == token {
			slot = s
		}
	}
	session, err := p.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	check(err, true, "C_OpenSession")
	wrong := p.Login(session, pkcs11.CKU_USER, "wrong-pin")
	check(nil, wrong == pkcs11.Error(pkcs11.CKR_PIN_INCORRECT), "a wrong PIN is refused")
	check(p.Login(session, pkcs11.CKU_USER, pin), true, "C_Login")
	template := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PRIVATE_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, "rsa1"),
	}
	check(p.FindObjectsInit(session, template), true, "C_FindObjectsInit")
	objects, _, err := p.FindObjects(session, 2)
	check(err, len(objects) == 1, "C_FindObjects")
	check(p.FindObjectsFinal(session), true, "C_FindObjectsFinal")
	_, err = p.GetAttributeValue(session, objects[0], []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_PRIVATE_EXPONENT, nil)})
	check(nil, err == pkcs11.Error(pkcs11.CKR_ATTRIBUTE_SENSITIVE), "the private exponent stays inside")
	check(p.SignInit(session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_SHA256_RSA_PKCS, nil)}, objects[0]), true, "C_SignInit")
	signature, err := p.Sign(session, message)
	check(err, len(signature) == 256, "C_Sign")
	check(p.Logout(session), true, "C_Logout")
	check(p.CloseSession(session), true, "C_CloseSession")
	check(p.Finalize(), true, "C_Finalize")
	p.Destroy()
}

func signs(r, e crypto11.Signer) {
	digest := sha256.Sum256(message)
	public := r.Public().(*rsa.PublicKey)
	signature, err := r.Sign(rand.Reader, digest[:], crypto.SHA256)
	check(err, true, "RSA signs")
	check(rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature), true, "Go believes RSA")
	signature, err = r.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256})
	check(err, true, "PSS signs")
	check(rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, nil), true, "Go believes PSS")
	signature, err = e.Sign(rand.Reader, digest[:], crypto.SHA256)
	check(err, ecdsa.VerifyASN1(e.Public().(*ecdsa.PublicKey), digest[:], signature), "Go believes ECDSA")
}

func decrypts(key crypto11.SignerDecrypter) {
	public := key.Public().(*rsa.PublicKey)
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, message, nil)
	check(err, true, "Go encrypts with OAEP")
	opened, err := key.Decrypt(rand.Reader, sealed, &rsa.OAEPOptions{Hash: crypto.SHA256})
	check(err, bytes.Equal(opened, message), "the token decrypts OAEP")
	sealed, err = rsa.EncryptPKCS1v15(rand.Reader, public, message)
	check(err, true, "Go encrypts with PKCS #1 v1.5")
	opened, err = key.Decrypt(rand.Reader, sealed, nil)
	check(err, bytes.Equal(opened, message), "the token decrypts PKCS #1 v1.5")
}

func generates(context *crypto11.Context) {
	digest := sha256.Sum256(message)
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		name := []byte("made " + curve.Params().Name)
		key, err := context.GenerateECDSAKeyPairWithLabel(name, name, curve)
		check(err, true, "a pair is made on "+curve.Params().Name)
		signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		check(err, ecdsa.VerifyASN1(key.Public().(*ecdsa.PublicKey), digest[:], signature), "it signs")
		check(key.Delete(), true, "it is deleted")
	}
	key, err := context.GenerateRSAKeyPairWithLabel([]byte("made"), []byte("made"), 2048)
	check(err, true, "an RSA pair is made")
	check(key.Delete(), true, "it is deleted")
	gone, err := context.FindKeyPair([]byte("made"), nil)
	check(err, gone == nil, "it is gone")
}

func secrets(context *crypto11.Context) {
	key, err := context.GenerateSecretKeyWithLabel([]byte("aes"), []byte("aes"), 256, crypto11.CipherAES)
	check(err, true, "an AES key is made")
	gcm, err := key.NewGCM()
	check(err, true, "GCM")
	nonce := make([]byte, gcm.NonceSize())
	sealed := gcm.Seal(nil, nonce, message, []byte("aad"))
	opened, err := gcm.Open(nil, nonce, sealed, []byte("aad"))
	check(err, bytes.Equal(opened, message), "GCM opens what it sealed")
	sealed[3] ^= 1
	_, err = gcm.Open(nil, nonce, sealed, []byte("aad"))
	check(nil, err != nil, "GCM refuses what was changed")
	cbc, err := key.NewCBCEncrypterCloser(make([]byte, 16))
	check(err, true, "CBC")
	block := make([]byte, 32)
	cbc.CryptBlocks(block, make([]byte, 32))
	cbc.Close()
	back, err := key.NewCBCDecrypterCloser(make([]byte, 16))
	check(err, true, "CBC back")
	back.CryptBlocks(block, block)
	back.Close()
	check(nil, bytes.Equal(block, make([]byte, 32)), "CBC decrypts what it encrypted")
	check(key.Delete(), true, "the AES key is deleted")
	generic, err := context.GenerateSecretKeyWithLabel([]byte("mac"), []byte("mac"), 256, crypto11.CipherGeneric)
	check(err, true, "a MAC key is made")
	sum := func() []byte {
		mac, err := generic.NewHMAC(pkcs11.CKM_SHA256_HMAC, 0)
		check(err, true, "HMAC")
		_, err = mac.Write(message)
		check(err, true, "HMAC takes the message")
		return mac.Sum(nil)
	}
	check(nil, hmac.Equal(sum(), sum()) && len(sum()) == 32, "HMAC gives the same twice")
	check(generic.Delete(), true, "the MAC key is deleted")
	reader, err := context.NewRandomReader()
	check(err, true, "random")
	_, err = io.ReadFull(reader, make([]byte, 1000))
	check(err, true, "random bytes")
}

func selfSigned(key crypto11.Signer) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err, true, "a certificate is signed")
	certificate, err := x509.ParseCertificate(der)
	check(err, certificate.CheckSignatureFrom(certificate) == nil, "Go believes the certificate")
	return certificate
}

// serves shakes 20 hands at once.
func serves(key crypto11.Signer, version uint16) {
	certificate := selfSigned(key)
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	own := tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
	configuration := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: version, MaxVersion: version}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", configuration)
	check(err, true, "a server listens")
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(connection, connection)
				_ = connection.Close()
			}()
		}
	}()
	var all sync.WaitGroup
	for n := 0; n < 20; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			connection, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "localhost"})
			check(err, true, "a handshake")
			_, err = connection.Write(message)
			check(err, true, "a message goes out")
			echo := make([]byte, len(message))
			_, err = io.ReadFull(connection, echo)
			check(err, bytes.Equal(echo, message), "and comes back")
			_ = connection.Close()
		}()
	}
	all.Wait()
	_ = listener.Close()
}

func threads(r, e crypto11.Signer) {
	var all sync.WaitGroup
	for n := 0; n < 8; n++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for round := 0; round < 25; round++ {
				signs(r, e)
			}
		}()
	}
	all.Wait()
}
